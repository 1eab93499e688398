"""Records as text/csv, for spreadsheets: the same fields and digits as in JSON.

A file is sent page by page; no more than one page of it is in memory.
"""

import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
from litestar.response import Stream

from botwarden.http.numbers import plain

MEDIA_TYPE = "text/csv"

#: Returns the rows behind the one with this id, newest first; none at the end.
NextPage = Callable[[int | None], Any]


def wants_csv(headers: Mapping[str, str]) -> bool:
    """Return whether the caller accepts CSV rather than JSON."""
    weights = {"application/json": 0.0, MEDIA_TYPE: 0.0}
    for part in headers.get("accept", "").split(","):
        name, *parameters = (it.strip().lower() for it in part.split(";"))
        if name in weights:
            weights[name] = next((_weight(it) for it in parameters if it.startswith("q=")), 1.0)
    return weights[MEDIA_TYPE] > weights["application/json"]


def header_line(shape: type[msgspec.Struct]) -> str:
    """Return the names of the fields."""
    return _line(shape.__struct_fields__)


def lines(records: Sequence[msgspec.Struct]) -> str:
    """Return one line for each record."""
    return "".join(_line([_text(value) for value in msgspec.structs.astuple(it)]) for it in records)


def csv_file(chunks: AsyncIterator[str] | str, *, name: str) -> Stream:
    """Return a response that is saved as a file of this name."""
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    content = chunks if not isinstance(chunks, str) else iter([chunks])
    return Stream(content, media_type=MEDIA_TYPE, headers=headers)


def _weight(parameter: str) -> float:
    try:
        return float(parameter.removeprefix("q="))
    except ValueError:
        return 0.0


def _line(values: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(values)
    return buffer.getvalue()


def _text(value: object) -> object:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value
