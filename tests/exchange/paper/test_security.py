"""Signatures over the received bytes, and the time in which a request is valid."""

import pytest

from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.params import Params, pairs
from botwarden.exchange.paper.security import Window, api_key, is_signed_by, sign, signed_payload, window

# The venue's published examples.
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
TAIL = "&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
ASCII = b"symbol=LTCBTC" + TAIL.encode()
UNICODE = b"symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96" + TAIL.encode()
ASCII_SIGNATURE = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
UNICODE_SIGNATURE = "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"

NOW = 1_700_000_000_000


@pytest.mark.parametrize(("payload", "signature"), [(ASCII, ASCII_SIGNATURE), (UNICODE, UNICODE_SIGNATURE)])
def test_published_examples(payload: bytes, signature: str) -> None:
    """The venue's own examples are signed as it says."""
    assert sign(SECRET, payload) == signature
    assert is_signed_by(SECRET, payload, signature.upper().encode())
    assert not is_signed_by(SECRET, payload + b" ", signature.encode())


@pytest.mark.parametrize(
    ("query", "body"),
    [
        (ASCII + b"&signature=" + ASCII_SIGNATURE.encode(), b""),
        (b"", ASCII + b"&signature=" + ASCII_SIGNATURE.encode()),
        (b"signature=" + ASCII_SIGNATURE.encode() + b"&" + ASCII, b""),
        (ASCII[:40], ASCII[40:] + b"&signature=" + ASCII_SIGNATURE.encode()),
    ],
)
def test_query_and_body_are_one_payload(query: bytes, body: bytes) -> None:
    """Query string and body are joined without a separator, and the signature is left out of either."""
    payload, signature = signed_payload(query, body)
    assert payload == ASCII
    assert signature == ASCII_SIGNATURE.encode()


def test_a_payload_without_a_signature() -> None:
    """No signature is told apart from a wrong one."""
    assert signed_payload(b"a=1", b"") == (b"a=1", None)


def verdict(timestamp: str, *, now: int = NOW, length: str | None = None) -> int:
    """Return the code of the refusal; 0 if there is none."""
    raw = f"timestamp={timestamp}" + ("" if length is None else f"&recvWindow={length}")
    try:
        window(Params(pairs(raw.encode()))).check(now)
    except ApiError as refused:
        return refused.code
    return 0


@pytest.mark.parametrize(
    ("ahead_ms", "length", "code"),
    [
        (0, None, 0),
        (999, None, 0),
        (1000, None, -1021),
        (60_000, None, -1021),
        (-5000, None, 0),
        (-5001, None, -1021),
        (-60_000, "60000", 0),
        (-60_001, "60000", -1021),
        (-1, "0", -1021),
        (0, "0", 0),
        (-2, "2.5", 0),
        (-3, "2.5", -1021),
    ],
)
def test_window(ahead_ms: int, length: str | None, code: int) -> None:
    """Valid iff timestamp < now + 1000 and now - timestamp <= recvWindow."""
    assert verdict(str(NOW + ahead_ms), length=length) == code


def test_microseconds_are_understood() -> None:
    """A time stamp may be in microseconds."""
    assert verdict(f"{NOW}999") == 0
    assert verdict(f"{NOW - 5001}000") == -1021


@pytest.mark.parametrize("length", ["60000.001", "60001", "99999999"])
def test_too_long_a_window(length: str) -> None:
    """A window of more than a minute is a bad parameter."""
    assert verdict(str(NOW), length=length) == -1131


@pytest.mark.parametrize(
    ("timestamp", "length", "code"),
    [
        ("", None, -1102),
        ("x", None, -1100),
        ("1", None, -1021),
        (str(NOW), "-1", -1100),
        (str(NOW), "1.2345", -1100),
        (str(NOW), "", -1105),
    ],
)
def test_malformed_times(timestamp: str, length: str | None, code: int) -> None:
    """What is no time is refused as a parameter."""
    assert verdict(timestamp, length=length) == code


@pytest.mark.parametrize("bad", [None, "", "with space", "ä", "k" * 257])
def test_key_format(bad: str | None) -> None:
    """A header that cannot be a key is refused before it is looked up."""
    with pytest.raises(ApiError) as refused:
        api_key(bad)
    assert (refused.value.code, refused.value.status) == (-2014, 401)


def test_the_window_is_checked_again() -> None:
    """A request that waited too long is refused by the same window later."""
    made = Window(
        window(Params(pairs(f"timestamp={NOW}".encode()))).timestamp_ms,
        window(Params(pairs(f"timestamp={NOW}".encode()))).length_ms,
    )
    made.check(NOW + 5000)
    with pytest.raises(ApiError):
        made.check(NOW + 5001)
