"""Secrets at rest: AES-256-GCM under a key that only the environment knows.

What is sealed is bound to the row it belongs to, so a blob that is copied to another row does not open.
The plaintext exists only between `open` and the exchange client, and no `repr` here shows any of it.
"""

import os
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from botwarden.persistence.errors import SecretUnreadable

_NONCE_BYTES = 12
_KEY_BYTES = 32


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What may be stored."""

    #: Which key opens it.
    key_id: str
    #: Nonce, ciphertext and tag.
    blob: bytes


class Vault:
    """Seals with one key, opens with any of those it was given."""

    def __init__(self, keys: Mapping[str, bytes], current: str | None = None) -> None:
        """Take keys of 32 bytes by id; without `current` the first one seals."""
        if not keys:
            raise ValueError("a vault needs a key")
        self._ciphers = {key_id: AESGCM(_whole(key)) for key_id, key in keys.items()}
        self.current = next(iter(keys)) if current is None else current
        if self.current not in keys:
            raise ValueError("the current key is not among the keys")

    def __repr__(self) -> str:
        return f"Vault(current={self.current!r})"

    def seal(self, plaintext: bytes, *, row: str) -> Sealed:
        """Encrypt for the row with this identity."""
        # Random nonces are good for 2^32 messages of a key. Source: NIST SP 800-38D, 8.3.
        nonce = os.urandom(_NONCE_BYTES)
        blob = nonce + self._ciphers[self.current].encrypt(nonce, plaintext, row.encode())
        return Sealed(key_id=self.current, blob=blob)

    def open(self, sealed: Sealed, *, row: str) -> bytes:
        """Decrypt what was sealed for this row.

        Raises:
            SecretUnreadable: sealed by a key we do not have, for another row, or damaged.
        """
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise SecretUnreadable("The key that sealed this secret is not among ours.")
        nonce, ciphertext = sealed.blob[:_NONCE_BYTES], sealed.blob[_NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, ciphertext, row.encode())
        except (InvalidTag, ValueError):
            raise SecretUnreadable from None


def keys_from_secret(secret: str, *older: str) -> dict[str, bytes]:
    """Return the keys of the secrets by id, the current one first."""
    keys: dict[str, bytes] = {}
    for text in (secret, *older):
        keys[_derive(text, b"botwarden vault key id", 4).hex()] = _derive(
            text, b"botwarden vault key", _KEY_BYTES
        )
    return keys


def _derive(secret: str, purpose: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=purpose).derive(secret.encode())


def _whole(key: bytes) -> bytes:
    if len(key) != _KEY_BYTES:
        raise ValueError("a key has 32 bytes")
    return key
