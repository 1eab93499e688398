"""Amounts in JSON: read without a float, written as plain numbers with all their digits.

No float ever touches an amount, in either direction.
"""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

#: More digits, or decimals, than any amount can have; whoever sends them means harm.
_MOST_DIGITS = 60

_NUMBER = re.compile(r"[+-]?(\d{1,60}(\.\d{0,60})?|\.\d{1,60})([eE][+-]?\d{1,3})?", re.ASCII)
#: How an amount in exponent form looks; text may look so, too.
_EXPONENT = re.compile(rb"\dE[+-]?\d")

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


def encode(value: Any) -> bytes:
    """Return `value` as JSON; every `Decimal` becomes a number in plain digits."""
    encoded = _encode(value)
    if _EXPONENT.search(encoded) is None:
        return encoded
    parts = msgspec.to_builtins(value, builtin_types=(Decimal, datetime))
    return _encode(_mapped(parts, _raw))


def decode_object(body: bytes) -> dict[str, Any]:
    """Return the fields of a JSON object; its numbers are `int` or `Decimal`, exactly as written.

    Raises:
        ValueError: it is no JSON, or no object.
    """
    try:
        return _decode(body)
    except msgspec.ValidationError:
        raise ValueError("The body must be a JSON object.") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError, ArithmeticError):
        raise ValueError("The body is not well-formed JSON.") from None


def decimal_of(given: object) -> Decimal | None:
    """Return a JSON number, or a string that holds one, as the exact decimal; None if it is neither."""
    if isinstance(given, str):
        return Decimal(given) if _NUMBER.fullmatch(given) else None
    if isinstance(given, bool) or not isinstance(given, int | Decimal):
        return None
    number = Decimal(given)
    exponent = number.as_tuple().exponent
    within = (
        isinstance(exponent, int) and abs(exponent) <= 999 and len(number.as_tuple().digits) <= _MOST_DIGITS
    )
    return number if within else None


def plain(amount: Decimal) -> str:
    """Return an amount in plain digits, without an exponent."""
    return format(amount, "f")


def _raw(amount: Decimal) -> msgspec.Raw:
    return msgspec.Raw(plain(amount).encode())


def _mapped(value: Any, convert: Callable[[Decimal], Any]) -> Any:
    """Return a copy of JSON-like data with every amount converted."""
    if isinstance(value, Decimal):
        return convert(value)
    if isinstance(value, dict):
        return {name: _mapped(part, convert) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(part, convert) for part in value]
    return value
