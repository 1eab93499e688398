"""Every error as an RFC 9457 problem, and the one place where families of failures get their status.

What a problem says comes from our own errors' messages; of anything unexpected the caller learns only that
it happened, and the log the rest.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from botwarden import errors
from botwarden.errors import BotwardenError, FieldError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"

#: What callers should do about a failure, as a status.
STATUS: Mapping[type[BotwardenError], int] = {
    FieldError: 422,
    errors.Invalid: 422,
    errors.Missing: 404,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.Refused: 409,
    errors.Stale: 412,
    errors.Locked: 423,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}

#: Answers after which trying again soon makes sense, in seconds.
_RETRY_AFTER_S = {423: 1, 429: 1, 503: 1}

_MISSING_PARAMETER = re.compile(r"Missing required \w+ (?:parameter )?'([^']+)'")


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One field of the input that breaks a rule."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong. Source: RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    #: Every bad field; only for invalid input.
    errors: list[FieldProblem] | None = None


def status_of(error: BotwardenError) -> int:
    """Return the status of an error's family; 500 for one that has none."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def problem_of(error: BotwardenError) -> Problem:
    """Return an error of one of the families as a problem."""
    status = status_of(error)
    match error:
        case errors.Invalid():
            return make_problem(status, "The input breaks a rule.", error.errors)
        case FieldError():
            return make_problem(status, "The input breaks a rule.", (error,))
        case _:
            return make_problem(status, str(error))


def make_problem(status: int, detail: str, fields: tuple[FieldError, ...] = ()) -> Problem:
    """Return a problem with the status' own title."""
    known = HTTPStatus(status)
    return Problem(
        type=f"urn:botwarden:problem:{known.name.lower().replace('_', '-')}",
        title=known.phrase,
        status=status,
        detail=detail,
        errors=[FieldProblem(field=it.field, message=it.message) for it in fields] or None,
    )


def headers_of(error: BotwardenError) -> dict[str, str]:
    """Return the headers that go with an error."""
    status = status_of(error)
    if status == 401:
        return {"www-authenticate": 'Bearer realm="botwarden"'}
    retry_after_s = getattr(error, "retry_after_s", _RETRY_AFTER_S.get(status))
    return {} if retry_after_s is None else {"retry-after": str(retry_after_s)}


def _answer(problem: Problem, headers: Mapping[str, str]) -> Response[bytes]:
    return Response(
        msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=dict(headers)
    )


def answer_family(request: Request[Any, Any, Any], error: BotwardenError) -> Response[bytes]:
    """Answer an expected failure; one without a family is a bug."""
    if status_of(error) == 500:
        return answer_bug(request, error)
    return _answer(problem_of(error), headers_of(error))


def answer_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what the framework found wrong with a request."""
    if error.status_code >= 500:
        return answer_bug(request, error)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    match error:
        case ValidationException():
            problem = make_problem(422, "The input breaks a rule.", tuple(_fields(error)))
        case _:
            problem = make_problem(error.status_code, _OWN_WORDS.get(error.status_code, error.detail))
    return _answer(problem, {name: headers[name] for name in ("allow", "retry-after") if name in headers})


def answer_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Log what nobody expected, and tell the caller no more than that it happened."""
    log.error("request.failed", method=request.method, path=request.url.path, exc_info=error)
    return _answer(make_problem(500, "Something went wrong here. It has been logged."), {})


def _fields(error: ValidationException) -> list[FieldError]:
    extra = error.extra if isinstance(error.extra, list) else []
    found = [_field(it) for it in extra if isinstance(it, dict)]
    if not found and (missing := _MISSING_PARAMETER.search(error.detail)):
        found = [FieldError(missing[1], "is required")]
    return found


def _field(found: dict[str, Any]) -> FieldError:
    name = str(found.get("key") or found.get("source") or "?")
    if name == "data":
        return FieldError("body", "must be a JSON object")
    return FieldError(name, _plainly(str(found.get("message") or "is not valid")))


def _plainly(message: str) -> str:
    if bound := _BOUND.fullmatch(message):
        return f"must be at {_BOUNDS[bound[1]]} {bound[2]}"
    return next((words for start, words in _PLAINLY.items() if message.startswith(start)), message)


#: How the framework's reader begins what it says about a value, and how we say it.
_PLAINLY = {
    "Expected `bool`": "must be true or false",
    "Expected `int`": "must be a whole number",
    "Invalid enum value": "is none of the values that it can have",
}

#: How it says that a number is out of bounds.
_BOUND = re.compile(r"Expected `int` (>=|<=) (-?\d+)")
_BOUNDS = {">=": "least", "<=": "most"}

_OWN_WORDS = {
    404: "There is nothing at this address.",
    405: "This address does not know this method.",
    413: "The body is too large.",
}

HANDLERS: ExceptionHandlersMap = {
    BotwardenError: answer_family,
    HTTPException: answer_http,
    Exception: answer_bug,
}
