"""Parameters of strategies: described as JSON Schema, checked by the same description.

What is checked is only numbers with bounds; every parameter has a default.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from botwarden.errors import FieldError, Invalid


def schema(**properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the JSON Schema of an object with these properties and no others."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


def whole(description: str, *, default: int, least: int, most: int) -> Mapping[str, Any]:
    """Return the schema of a whole number."""
    return _number("integer", description, default, least, most)


def real(description: str, *, default: int, least: int, most: int) -> Mapping[str, Any]:
    """Return the schema of a number."""
    return _number("number", description, default, least, most)


def checked(parameters: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return `params` with the schema's defaults filled in, in its order.

    Raises:
        Invalid: naming each parameter that is unknown, no number or out of bounds.
    """
    properties: Mapping[str, Any] = parameters["properties"]
    errors = [field_error(name, "there is no such parameter") for name in params if name not in properties]
    values: dict[str, Any] = {}
    for name, rule in properties.items():
        try:
            values[name] = _value(name, rule, params.get(name, rule["default"]))
        except FieldError as error:
            errors.append(error)
    if errors:
        raise Invalid(*errors)
    return values


def field_error(name: str, message: str) -> FieldError:
    """Return the error of one parameter, named as callers wrote it."""
    return FieldError(f"strategy_params.{name}", message)


def _number(kind: str, description: str, default: int, least: int, most: int) -> Mapping[str, Any]:
    return {
        "type": kind,
        "description": description,
        "default": default,
        "minimum": least,
        "maximum": most,
    }


def _value(name: str, rule: Mapping[str, Any], given: object) -> int | float:
    is_number = isinstance(given, (int, float, Decimal)) and not isinstance(given, bool)
    number = Decimal(str(given)) if is_number else Decimal("NaN")
    if not number.is_finite():
        raise field_error(name, "must be a number")
    if not rule["minimum"] <= number <= rule["maximum"]:
        raise field_error(name, f"must be from {rule['minimum']} to {rule['maximum']}")
    if number == int(number):
        return int(number)
    if rule["type"] == "integer":
        raise field_error(name, "must be a whole number")
    return float(number)
