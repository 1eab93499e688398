"""Keys whose other half the venue never has: Ed25519 and RSA beside HMAC, used by python-binance itself."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from binance.exceptions import BinanceAPIException
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from botwarden.errors import Refused
from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.security import is_signed_by
from tests.exchange.paper.house import KEY, TOKEN, House, PythonBinance

pytestmark = pytest.mark.anyio

PrivateKey = Ed25519PrivateKey | RSAPrivateKey


def rsa() -> RSAPrivateKey:
    """Return a new RSA key."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: PrivateKey) -> str:
    """Return the half that signs, without a trailing line: the client tells the kinds apart by length."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode().strip()


def public_pem(key: PrivateKey) -> str:
    """Return the half that the venue is given."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def client_with(house: House, api_key: str, key: PrivateKey) -> PythonBinance:
    """Return python-binance's client that signs with this key."""
    kind: Any = type("Pointed", (PythonBinance,), {"API_URL": f"{house.origin}/api"})
    client: PythonBinance = kind(api_key, private_key=private_pem(key))
    return client


@pytest.mark.parametrize("make", [Ed25519PrivateKey.generate, rsa], ids=["ed25519", "rsa"])
async def test_a_key_of_two_halves_trades(house: House, make: Callable[[], PrivateKey]) -> None:
    """Who registers a public key places orders that are signed with the other half."""
    key = make()
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.register("two-halves", public_pem(key))
    client = client_with(house, "two-halves", key)
    try:
        order = await client.order_market_buy(symbol="BTCUSDT", quantity="0.001")
        read = await client.get_order(symbol="BTCUSDT", orderId=order["orderId"])
    finally:
        await client.session.close()
    assert read["status"] == "FILLED"


async def test_another_key_does_not_sign(house: House) -> None:
    """A signature of another key is refused, whoever has the venue's copy of the public one."""
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.register("two-halves", public_pem(Ed25519PrivateKey.generate()))
    client = client_with(house, "two-halves", Ed25519PrivateKey.generate())
    try:
        with pytest.raises(BinanceAPIException) as refused:
            await client.get_account()
    finally:
        await client.session.close()
    assert refused.value.code == -1022


async def test_a_broken_public_key_is_refused(house: House) -> None:
    """A public key that nobody could sign for is refused when it is registered, by name of the field."""
    async with PaperAdmin(house.origin, TOKEN) as admin:
        with pytest.raises(Refused, match="secret_key"):
            await admin.register("broken", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")
    assert "broken" not in house.venue.engine.accounts.by_key
    assert KEY in house.venue.engine.accounts.by_key


def test_signatures_are_base64_as_they_are_or_percent_encoded() -> None:
    """The signature of a key of two halves is read raw and percent-encoded; anything else is none."""
    key = Ed25519PrivateKey.generate()
    signature = base64.b64encode(key.sign(b"a=1"))
    pem = public_pem(key)
    assert is_signed_by(pem, b"a=1", signature)
    assert is_signed_by(
        pem, b"a=1", signature.replace(b"+", b"%2B").replace(b"/", b"%2F").replace(b"=", b"%3D")
    )
    assert not is_signed_by(pem, b"a=2", signature)
    assert not is_signed_by(pem, b"a=1", signature[:-4])
    assert not is_signed_by(pem, b"a=1", b"no base64 at all")
