"""Bodies of requests: JSON objects whose every bad field is named at once.

    Body[Shape]     the whole shape: what is missing is taken from its defaults, or named
    Changes[Shape]  only what was given, as a dict with the shape's types
    Fields[Shape]   only what was given, as JSON says it: the trading room reads it

Amounts are exact from the wire on, and a field that the shape does not have is an error.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import EnumType
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec
from litestar.dto import AbstractDTO
from litestar.dto.data_structures import DTOFieldDefinition
from litestar.exceptions import ClientException
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition
from msgspec import NODEFAULT, UNSET, UnsetType

from botwarden.errors import FieldError, Invalid
from botwarden.http.numbers import decimal_of, decode_object

T = TypeVar("T", bound=msgspec.Struct)

_LARGEST_INT = 2**63 - 1


class _Reader(AbstractDTO[T]):
    """Reads a body itself, and describes it by its shape; the framework's own reading is not used."""

    @classmethod
    def create_for_field_definition(cls, *_args: Any, **_kwargs: Any) -> None:
        """Need no machinery."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        """Describe the shape."""
        del field_definition, handler_id
        described: Reference | Schema = schema_creator.for_field_definition(
            FieldDefinition.from_annotation(cls.described())
        )
        return described

    @classmethod
    def described(cls) -> type[Any]:
        """Return the shape that the documentation shows."""
        return cls.model_type

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """Yield nothing."""
        del model_type
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Say no."""
        del field_definition
        return False


class Body(_Reader[T]):
    """Reads a whole shape."""

    def decode_bytes(self, value: bytes) -> Any:
        """Return the shape."""
        given = _object(value)
        read, errors = read_fields(given, self.model_type)
        for it in msgspec.structs.fields(self.model_type):
            if it.required and it.name not in given:
                errors.append(FieldError(it.name, "is required"))
        if errors:
            raise Invalid(*errors, *_further_errors(self.model_type, read, errors))
        return self.model_type(**read)


class Changes(_Reader[T]):
    """Reads those fields of a shape that were given."""

    @classmethod
    def described(cls) -> type[Any]:
        """Return the shape with every field optional."""
        fields = [(it.name, it.type | UnsetType, UNSET) for it in msgspec.structs.fields(cls.model_type)]
        return msgspec.defstruct(f"{cls.model_type.__name__}Changes", fields, kw_only=True)

    def decode_bytes(self, value: bytes) -> dict[str, Any]:
        """Return them by name."""
        read, errors = read_fields(_object(value), self.model_type)
        if errors:
            raise Invalid(*errors)
        return read


class Fields(_Reader[T]):
    """Reads the fields that were given, and leaves their rules to whom they concern."""

    def decode_bytes(self, value: bytes) -> dict[str, Any]:
        """Return them by name, as JSON says them."""
        return _object(value)


def read_fields(given: Mapping[str, Any], shape: type[Any]) -> tuple[dict[str, Any], list[FieldError]]:
    """Return the given fields with the shape's types, and what is wrong with the others."""
    kinds = {it.name: it.type for it in msgspec.structs.fields(shape)}
    read: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name, value in given.items():
        if name not in kinds:
            errors.append(FieldError(_shown(name), "there is no such field"))
            continue
        try:
            read[name] = _typed(value, kinds[name])
        except ValueError as wrong:
            errors.append(FieldError(name, str(wrong)))
    return read, errors


def _further_errors(
    shape: type[msgspec.Struct], read: Mapping[str, Any], errors: Sequence[FieldError]
) -> list[FieldError]:
    """Return what the shape's own `broken_rules` says of other fields than those that are named already."""
    judge = getattr(shape, "broken_rules", None)
    if judge is None:
        return []
    defaults = {it.name: it.default for it in msgspec.structs.fields(shape) if it.default is not NODEFAULT}
    named = {error.field for error in errors}
    return [error for error in judge(defaults | dict(read), named) if error.field not in named]


def _object(body: bytes) -> dict[str, Any]:
    """Return the body's fields; an empty body has none."""
    try:
        return decode_object(body) if body else {}
    except ValueError as wrong:
        raise ClientException(str(wrong)) from None


def _shown(name: str) -> str:
    return name if len(name) <= 100 else name[:99] + "…"


def _typed(value: Any, kind: Any) -> Any:
    """Return a JSON value as one of a field's type. Raises `ValueError` with what it must be."""
    kinds = list(_options(kind))
    if value is None and NoneType in kinds:
        return None
    if kinds[0] is Decimal:
        number = decimal_of(value)
        if number is None:
            raise ValueError("must be a number")
        return number
    try:
        typed = msgspec.convert(value, kinds[0])
    except msgspec.ValidationError as wrong:
        raise ValueError(_must_be(kinds[0], wrong)) from None
    if isinstance(typed, str) and "\0" in typed:
        raise ValueError("must not contain the character NUL")
    if isinstance(typed, int) and abs(typed) > _LARGEST_INT:
        raise ValueError("is too large")
    return typed


def _options(kind: Any) -> Iterator[Any]:
    """Yield the types that a field may have, without what is only said about them."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _options(get_args(kind)[0])
    elif origin in (Union, UnionType):
        for option in get_args(kind):
            yield from _options(option)
    else:
        yield kind


def _must_be(kind: Any, wrong: msgspec.ValidationError) -> str:
    if isinstance(kind, EnumType):
        return f"must be one of {', '.join(kind.__members__[name].value for name in kind.__members__)}"
    return _WORDS.get(get_origin(kind) or kind, str(wrong))


_WORDS = {
    str: "must be text",
    int: "must be a whole number",
    bool: "must be true or false",
    dict: "must be an object",
}
