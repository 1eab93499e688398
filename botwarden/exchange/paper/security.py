"""Who sends, and whether the request is still valid.

A key's secret is that of an HMAC, or the public half of an Ed25519 or RSA key as PEM: the venue never has
the other half.

Pure. The signature is checked over the bytes as they were received, never over decoded and re-encoded
ones: query string, then body, without a separator and without the signature itself.
Source: Binance spot API, request security, timing security, and FAQ, API key types.
"""

import binascii
import hashlib
import hmac
import re
from base64 import b64decode
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from botwarden.exchange.paper import errors
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.params import Params

DEFAULT_WINDOW_MS = 5000
LONGEST_WINDOW_MS = 60_000
#: How far a time stamp may lie ahead of the server.
AHEAD_MS = 1000
#: 2017-01-01, before which no time stamp is meant.
EARLIEST_MS = 1_483_228_800_000

_PEM = "-----BEGIN PUBLIC KEY-----"

_WINDOW = re.compile(r"[0-9]{1,20}(\.[0-9]{1,3})?")
_KEY = re.compile(r"[A-Za-z0-9_\-]{1,256}")


class Window(NamedTuple):
    """When a request may be executed, in ms of the server's time."""

    timestamp_ms: Decimal
    length_ms: Decimal

    def check(self, now_ms: int) -> None:
        """Refuse a request that comes too early or too late."""
        if self.timestamp_ms >= now_ms + AHEAD_MS:
            raise errors.ahead_of_server()
        if now_ms - self.timestamp_ms > self.length_ms:
            raise errors.outside_window()


def signed_payload(query: bytes, body: bytes) -> tuple[bytes, bytes | None]:
    """Return what was signed, and the signature; None if there is none."""
    query_rest, in_query = _without_signature(query)
    body_rest, in_body = _without_signature(body)
    return query_rest + body_rest, in_body if in_query is None else in_query


def sign(secret_key: str, payload: bytes) -> str:
    """Return the HMAC-SHA256 of a payload, in hex."""
    return hmac.new(secret_key.encode(), payload, hashlib.sha256).hexdigest()


def public_key(secret_key: str) -> Ed25519PublicKey | RSAPublicKey | None:
    """Return the public key that this secret is; None if it is an HMAC's.

    Raises:
        ValueError: it begins like a public key and is none that the venue takes.
    """
    return _parsed(secret_key) if secret_key.lstrip().startswith(_PEM) else None


def kind_of(secret_key: str) -> str:
    """Return what kind of key this secret belongs to: HMAC, Ed25519 or RSA."""
    key = public_key(secret_key)
    if key is None:
        return "HMAC"
    return "Ed25519" if isinstance(key, Ed25519PublicKey) else "RSA"


def is_signed_by(secret_key: str, payload: bytes, signature: bytes) -> bool:
    """Whether the signature is this secret's.

    An HMAC's is in hex, upper and lower case are the same; the others' are in Base64, as they are or
    percent-encoded.
    """
    key = public_key(secret_key)
    if key is None:
        return hmac.compare_digest(sign(secret_key, payload).encode(), signature.lower())
    try:
        plain = b64decode(unquote_to_bytes(signature), validate=True)
        if isinstance(key, Ed25519PublicKey):
            key.verify(plain, payload)
        else:
            key.verify(plain, payload, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error):
        return False
    return True


def is_api_key(text: str) -> bool:
    """Whether it can be a key; whatever is not is refused with -2014."""
    return _KEY.fullmatch(text) is not None


def api_key(header: str | None) -> str:
    """Return the key of the request's header."""
    if not header or not is_api_key(header):
        raise errors.bad_key_format()
    return header


def window(params: Params) -> Window:
    """Return the time in which the request is valid."""
    stamp = params.required("timestamp")
    length = params.text("recvWindow")
    if not stamp.isascii() or not stamp.isdecimal() or len(stamp) > 20:
        raise errors.illegal_characters("timestamp", "^[0-9]{1,20}$")
    moment = Decimal(stamp)
    if moment > 10**14:
        moment /= 1000
    if moment < EARLIEST_MS:
        raise errors.outside_window()
    if length is None:
        return Window(moment, Decimal(DEFAULT_WINDOW_MS))
    if not _WINDOW.fullmatch(length):
        raise errors.illegal_characters("recvWindow", r"^[0-9]{1,20}(\.[0-9]{1,3})?$")
    if Decimal(length) > LONGEST_WINDOW_MS:
        raise ApiError(-1131, "recvWindow must be less than 60000.")
    return Window(moment, Decimal(length))


def _without_signature(raw: bytes) -> tuple[bytes, bytes | None]:
    pieces = raw.split(b"&")
    rest = [piece for piece in pieces if not piece.startswith(b"signature=")]
    if len(rest) == len(pieces):
        return raw, None
    found = next(piece for piece in pieces if piece.startswith(b"signature="))
    return b"&".join(rest), found.removeprefix(b"signature=")


@lru_cache(maxsize=1024)
def _parsed(pem: str) -> Ed25519PublicKey | RSAPublicKey:
    try:
        key = load_pem_public_key(pem.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PublicKey | RSAPublicKey):
        return key
    raise ValueError("secret_key: this is no public key of Ed25519 or RSA")
