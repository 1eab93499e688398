"""Amounts in JSON: exact both ways."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botwarden.http.cursor import page_of, read_cursor, write_cursor
from botwarden.http.numbers import decimal_of, decode_object, encode, plain
from botwarden.http.tables import wants_csv

AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=18)


@given(AMOUNTS, st.text())
def test_amount_survives_the_way_out_and_in(amount, text):
    """Whatever is written is read back as the same number, and text beside it as the same text."""
    encoded = encode({"amount": amount, "text": text, "list": [amount, None]})
    read = decode_object(encoded)
    assert decimal_of(read["amount"]) == amount
    assert read["text"] == text
    assert b'"amount":' + plain(amount).encode() + b"," in encoded


@given(AMOUNTS)
def test_text_of_an_amount_is_as_good_as_the_number(amount):
    """A string that holds a number is read exactly."""
    assert decimal_of(plain(amount)) == amount


@pytest.mark.parametrize(
    "given_value",
    ["", " 1", "1 ", "NaN", "inf", "0x1", "1_0", "\u0661", "1e", "--1", True, None, [], {}, "1" * 61],
)
def test_nothing_else_is_a_number(given_value):
    """What is no plain number is none."""
    assert decimal_of(given_value) is None


def test_records_are_written_with_plain_digits():
    """Tiny and huge amounts in records have no exponent, and times end in Z."""

    class Record(msgspec.Struct):
        at: datetime
        tiny: Decimal
        huge: Decimal

    record = Record(datetime(2026, 1, 5, 12, tzinfo=UTC), Decimal("1E-18"), Decimal("1E+20"))
    assert encode([record]) == (
        b'[{"at":"2026-01-05T12:00:00Z","tiny":0.000000000000000001,"huge":100000000000000000000}]'
    )


def test_text_that_looks_like_an_exponent_is_left_alone():
    """A name such as 1E5 is a name."""
    assert json.loads(encode({"name": "1E5", "amount": Decimal("0.5")})) == {"name": "1E5", "amount": 0.5}


@given(st.integers(1, 2**63 - 1))
def test_cursor_leads_back(row_id):
    """A cursor that was given out is understood."""
    assert read_cursor(write_cursor(row_id)) == row_id


def test_page_has_a_cursor_only_if_more_follows():
    """The last page says so."""
    assert page_of([3, 2, 1], 3, int) == ([3, 2, 1], None)
    shown, cursor = page_of([3, 2, 1], 2, int)
    assert (shown, read_cursor(cursor)) == ([3, 2], 2)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/csv", True),
        ("TEXT/CSV; charset=utf-8", True),
        ("text/csv;q=0.9, application/json;q=0.1", True),
        ("application/json, text/csv", False),
        ("text/csv;q=x", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_csv_is_for_who_prefers_it(accept, expected):
    """JSON is answered unless CSV is wanted more."""
    assert wants_csv({"accept": accept}) is expected
