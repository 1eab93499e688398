"""Secrets open for their own row, with their own key, unharmed; or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from botwarden.persistence.errors import SecretUnreadable
from botwarden.persistence.vault import Vault, keys_from_secret

KEYS = keys_from_secret("the first secret")


@given(st.binary(max_size=200), st.text(max_size=30))
def test_what_is_sealed_opens(plaintext, row):
    """Any secret comes back as it was, for the row it was sealed for."""
    vault = Vault(KEYS)
    assert vault.open(vault.seal(plaintext, row=row), row=row) == plaintext


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_damaged_secret_does_not_open(position, flipped):
    """Whichever bits are changed, nothing is read."""
    vault = Vault(KEYS)
    sealed = vault.seal(b"a secret", row="api_keys/1/1")
    blob = bytearray(sealed.blob)
    blob[position % len(blob)] ^= flipped
    with pytest.raises(SecretUnreadable):
        vault.open(replace(sealed, blob=bytes(blob)), row="api_keys/1/1")


@pytest.mark.parametrize("blob", [b"", b"short", b"x" * 12])
def test_what_is_too_short_does_not_open(blob):
    """A torso is unreadable, not a crash."""
    vault = Vault(KEYS)
    with pytest.raises(SecretUnreadable):
        vault.open(replace(vault.seal(b"", row="1"), blob=blob), row="1")


def test_a_secret_does_not_open_for_another_row():
    """A blob that is copied to another row is worthless there."""
    vault = Vault(KEYS)
    with pytest.raises(SecretUnreadable):
        vault.open(vault.seal(b"a secret", row="api_keys/1/1"), row="api_keys/1/2")


def test_a_secret_does_not_open_with_another_key():
    """Neither an unknown key nor another one under the same name opens it."""
    sealed = Vault(KEYS).seal(b"a secret", row="1")
    with pytest.raises(SecretUnreadable):
        Vault(keys_from_secret("another secret")).open(sealed, row="1")
    [key_id] = KEYS
    with pytest.raises(SecretUnreadable):
        Vault({key_id: bytes(32)}).open(sealed, row="1")


def test_after_a_rotation_both_keys_open_and_the_new_one_seals():
    """The current secret seals; what an older one sealed still opens."""
    old = Vault(KEYS).seal(b"a secret", row="1")
    rotated = Vault(keys_from_secret("the second secret", "the first secret"))
    assert rotated.open(old, row="1") == b"a secret"
    new = rotated.seal(b"a secret", row="1")
    assert new.key_id != old.key_id
    assert Vault(keys_from_secret("the second secret")).open(new, row="1") == b"a secret"


def test_the_same_secret_never_looks_the_same_twice():
    """Nonces do not repeat."""
    vault = Vault(KEYS)
    assert len({vault.seal(b"a secret", row="1").blob for _ in range(100)}) == 100


def test_a_vault_shows_nothing_of_its_keys():
    """Neither representation holds key material."""
    shown = f"{Vault(KEYS)!r} {Vault(KEYS)}"
    assert all(key.hex() not in shown and repr(key) not in shown for key in KEYS.values())


def test_a_vault_refuses_keys_that_are_none():
    """No key, a short key, or a current key that is not there is refused at once."""
    for keys, current in (({}, None), ({"a": b"short"}, None), (KEYS, "unknown")):
        with pytest.raises(ValueError, match="key"):
            Vault(keys, current)
