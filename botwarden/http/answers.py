"""Answers: JSON with exact amounts, and what a transaction decided to say before it has committed.

An `Answer` is finished text, so that it can be kept beside its effect and given again.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import MediaType, Response

from botwarden.errors import BotwardenError
from botwarden.http import problems
from botwarden.http.numbers import encode


class JsonResponse(Response[Any]):
    """A response whose amounts are exact numbers in plain digits."""

    def render(self, content: Any, media_type: str, enc_hook: Any = None) -> bytes:
        """Return the body."""
        if isinstance(content, bytes) or not media_type.startswith(MediaType.JSON):
            return super().render(content, media_type, enc_hook)
        return encode(content)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered: the status and the finished body."""

    status: int
    body: bytes = b""
    type: str = MediaType.JSON
    #: The request goes on for so long, and may have a better answer then.
    runs_on_for_s: float = 0.0

    @classmethod
    def of(cls, content: Any, *, status: int = 200, runs_on_for_s: float = 0.0) -> "Answer":
        """Return an answer in JSON."""
        return cls(status=status, body=encode(content), runs_on_for_s=runs_on_for_s)

    @classmethod
    def of_error(cls, error: BotwardenError) -> "Answer":
        """Return an error as an answer."""
        problem = problems.problem_of(error)
        return cls(status=problem.status, body=msgspec.json.encode(problem), type=problems.MEDIA_TYPE)

    def response(self, headers: Mapping[str, str] | None = None) -> Response[Any]:
        """Return the answer on its way out."""
        return Response(
            self.body or None,
            status_code=self.status,
            media_type=self.type,
            headers=dict(headers or {}),
        )
