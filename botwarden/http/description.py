"""What the OpenAPI document says beyond the handlers' own words: exact amounts, and problems.

The document must be true: amounts are numbers, and every error is a problem.
"""

from decimal import Decimal
from typing import Any

from litestar.openapi.spec import (
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Reference,
    Schema,
)
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from botwarden.http.problems import MEDIA_TYPE

_METHODS = ("get", "put", "post", "patch", "delete")

_PROBLEM = Schema(
    type=OpenAPIType.OBJECT,
    title="Problem",
    description="RFC 9457",
    required=["type", "title", "status", "detail"],
    properties={
        "type": Schema(type=OpenAPIType.STRING),
        "title": Schema(type=OpenAPIType.STRING),
        "status": Schema(type=OpenAPIType.INTEGER),
        "detail": Schema(type=OpenAPIType.STRING),
        "errors": Schema(
            type=OpenAPIType.ARRAY,
            description="Every bad field; only for invalid input.",
            items=Schema(
                type=OpenAPIType.OBJECT,
                required=["field", "message"],
                properties={
                    "field": Schema(type=OpenAPIType.STRING),
                    "message": Schema(type=OpenAPIType.STRING),
                },
            ),
        ),
    },
)
_FAILURE = OpenAPIResponse(
    description="Any failure, as a problem.",
    content={MEDIA_TYPE: OpenAPIMediaType(schema=Reference(ref="#/components/schemas/Problem"))},
)


class ExactAmounts(OpenAPISchemaPlugin):
    """Describes amounts as the numbers that they are here."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Return whether it is an amount."""
        return value is Decimal

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """Return a number."""
        del field_definition, schema_creator
        return Schema(type=OpenAPIType.NUMBER)


def describe_problems(document: OpenAPI) -> None:
    """Put our problems into the place of the framework's own errors."""
    document.components.schemas["Problem"] = _PROBLEM
    for item in (document.paths or {}).values():
        for method in _METHODS:
            operation: Operation | None = getattr(item, method)
            if operation is not None:
                answers = operation.responses or {}
                answers.pop("400", None)
                answers["default"] = _FAILURE
