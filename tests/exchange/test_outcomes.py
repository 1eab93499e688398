"""A rejection is believed only by the venue's own definite code; everything else may have been executed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botwarden.exchange.outcomes import outcome
from botwarden.exchange.port import Unknown
from botwarden.trading.orders import Executed, Rejected
from tests.exchange.samples import an_order, full_answer

DEFINITE = [
    (400, -1013, "Filter failure: LOT_SIZE"),
    (400, -1013, "Market is closed."),
    (429, -1003, "Too much request weight used"),
    (418, -1003, "Way too much request weight used; IP banned until 1"),
    (429, -1015, "Too many new orders; current limit is 50 orders per 10 SECOND."),
    (400, -1021, "Timestamp for this request is outside of the recvWindow."),
    (400, -1022, "Signature for this request is not valid."),
    (400, -1100, "Illegal characters found in parameter 'quantity'"),
    (400, -1111, "Parameter 'quantity' has too much precision."),
    (400, -1121, "Invalid symbol."),
    (400, -1131, "recvWindow must be less than 60000"),
    (400, -2010, "Account has insufficient balance for requested action."),
    (401, -1002, "You are not authorized to execute this request."),
    (401, -2014, "API-key format invalid."),
    (401, -2015, "Invalid API-key, IP, or permissions for action."),
]

INDEFINITE = [
    (400, -2010, "Duplicate order sent."),
    (500, -1000, "An unknown error occurred while processing the request."),
    (400, -1000, "An unknown error occurred while processing the request."),
    (400, -1001, "Internal error; unable to process your request."),
    (504, -1006, "An unexpected response was received. Execution status unknown."),
    (400, -1006, "An unexpected response was received. Execution status unknown."),
    (408, -1007, "Timeout waiting for response from backend server."),
    (504, -1007, "Timeout waiting for response from backend server."),
    (503, -1008, "Server is currently overloaded with other requests."),
    (500, -2010, "Account has insufficient balance for requested action."),
    (403, -1013, "Filter failure: LOT_SIZE"),
    (409, -2021, "Order cancel-replace partially failed."),
    (400, -2011, "Unknown order sent."),
    (400, 0, ""),
    (302, -1013, "moved"),
]


def body(code: int, message: str) -> bytes:
    """Return an error answer."""
    return json.dumps({"code": code, "msg": message}).encode()


@pytest.mark.parametrize(("status", "code", "message"), DEFINITE, ids=str)
def test_definite_refusals(status: int, code: int, message: str) -> None:
    """These codes say that the order was not executed."""
    assert outcome(an_order(), status, body(code, message)) == Rejected(code=code, message=message)


@pytest.mark.parametrize(("status", "code", "message"), INDEFINITE, ids=str)
def test_indefinite_refusals(status: int, code: int, message: str) -> None:
    """These leave it open."""
    assert isinstance(outcome(an_order(), status, body(code, message)), Unknown)


@pytest.mark.parametrize("status", [400, 403, 404, 418, 429, 500, 502, 503, 504])
@pytest.mark.parametrize(
    "page", [b"", b"<html>nginx</html>", b"[]", b"null", b'{"code":"x"}', b'{"code":-10']
)
def test_no_json_of_the_venue(status: int, page: bytes) -> None:
    """A page of something in between says nothing of the order."""
    assert isinstance(outcome(an_order(), status, page), Unknown)


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("text", [b"", b"{}", b"null", json.dumps(full_answer(status="NEW")).encode()])
def test_accepted_but_unreadable(status: int, text: bytes) -> None:
    """An acceptance that cannot be read is asked about."""
    assert isinstance(outcome(an_order(), status, text), Unknown)


def test_accepted() -> None:
    """A readable final answer settles the order."""
    assert isinstance(outcome(an_order(), 200, json.dumps(full_answer()).encode()), Executed)


@given(status=st.integers(100, 599), code=st.integers(-5000, 100), message=st.text(max_size=40))
def test_rejection_needs_a_code_of_the_list(status: int, code: int, message: str) -> None:
    """No status outside 4xx, and no code outside the documented families, is ever a rejection."""
    settled = outcome(an_order(), status, body(code, message))
    if isinstance(settled, Rejected):
        assert 400 <= status < 500
        assert status != 403
        assert (
            code in (-1002, -1003, -1013, -1015, -1021, -1022, -2010, -2014, -2015) or -1131 <= code <= -1100
        )
