"""The documentation page as text: an OpenAPI document in, HTML out.

Everything that comes from the document is escaped, and nothing on the page names another host.
"""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_METHODS = ("get", "post", "put", "patch", "delete")
#: References may go in circles; nobody reads deeper than this.
_DEEPEST = 6

Json = Mapping[str, Any]


def render_page(document: Json, *, base: str, assets: str) -> str:
    """Return the whole page. `base` is where the document is served, `assets` the folder of its files."""
    info = document["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    sections = "".join(_section(tag, operations, document) for tag, operations in _by_tag(document).items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}</title><link rel="icon" href="data:,">'
        f'<link rel="stylesheet" href="{assets}/docs.css">'
        f'<script src="{assets}/docs.js" defer></script></head>'
        f"<body><header><h1>{title}</h1><p>{escape(info.get('description') or '')}</p>"
        f'<p><a href="{base}/openapi.json">openapi.json</a></p>'
        '<label>Access token, for trying things out: <input id="token" type="password" autocomplete="off">'
        f"</label></header><main>{sections}</main></body></html>"
    )


def _by_tag(document: Json) -> dict[str, list[tuple[str, str, Json]]]:
    """Return (method, path, operation) by tag, in the order of the document."""
    tags: dict[str, list[tuple[str, str, Json]]] = {}
    for path, item in document.get("paths", {}).items():
        for method in _METHODS:
            if (operation := item.get(method)) is not None:
                tag = (operation.get("tags") or ["other"])[0]
                tags.setdefault(tag, []).append((method, path, operation))
    return tags


def _section(tag: str, operations: list[tuple[str, str, Json]], document: Json) -> str:
    entries = "".join(_operation(method, path, operation, document) for method, path, operation in operations)
    return f"<section><h2>{escape(tag)}</h2>{entries}</section>"


def _operation(method: str, path: str, operation: Json, document: Json) -> str:
    description = operation.get("description") or ""
    body = operation.get("requestBody")
    return (
        f'<details class="{method}"><summary><b>{method.upper()}</b> <code>{escape(path)}</code> '
        f"<span>{escape(operation.get('summary') or '')}</span></summary>"
        + "".join(f"<p>{escape(paragraph)}</p>" for paragraph in description.split("\n\n") if paragraph)
        + _parameters(operation.get("parameters") or [], document)
        + (f"<h3>Body</h3>{_content(body, document)}" if body else "")
        + _responses(operation.get("responses") or {}, document)
        + _form(method, path, operation, document)
        + "</details>"
    )


def _parameters(parameters: list[Json], document: Json) -> str:
    if not parameters:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])}"
        f"{', required' if parameter.get('required') else ''}</td>"
        f"<td>{escape(_kind(parameter.get('schema') or {}, document))}</td>"
        f"<td>{escape(parameter.get('description') or '')}</td></tr>"
        for parameter in parameters
    )
    return f"<h3>Parameters</h3><table>{rows}</table>"


def _responses(responses: Json, document: Json) -> str:
    entries = "".join(
        f"<dt>{escape(status)}</dt>"
        f"<dd>{escape(answer.get('description') or '')}{_content(answer, document)}</dd>"
        for status, answer in responses.items()
    )
    return f"<h3>Answers</h3><dl>{entries}</dl>"


def _content(part: Json, document: Json) -> str:
    return "".join(
        f"<p>{escape(media_type)}</p>{_fields(content.get('schema') or {}, document)}"
        for media_type, content in (part.get("content") or {}).items()
    )


def _fields(schema: Json, document: Json, depth: int = 0) -> str:
    """Return the fields of an object (or of the objects in a list) as nested lists."""
    schema = _resolve(schema, document)
    inner = _resolve(schema.get("items") or schema, document)
    properties = inner.get("properties") or {}
    if not properties or depth == _DEEPEST:
        return "" if depth else f"<p><code>{escape(_kind(schema, document))}</code></p>"
    required = set(inner.get("required") or ())
    entries = "".join(
        f"<li><code>{escape(name)}</code>{'*' if name in required else ''} "
        f"<i>{escape(_kind(field, document))}</i> "
        f"{escape(_resolve(field, document).get('description') or '')}"
        f"{_fields(field, document, depth + 1)}</li>"
        for name, field in properties.items()
    )
    return f"<ul>{entries}</ul>"


def _kind(schema: Json, document: Json) -> str:
    """Return a schema in a few words: its type, its bounds and its values."""
    schema = _resolve(schema, document)
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            return " or ".join(dict.fromkeys(_kind(option, document) for option in schema[choice]))
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    kind = schema.get("type") or "any"
    words = [" or ".join(kind) if isinstance(kind, list) else str(kind)]
    if words == ["array"]:
        words = [f"list of {_kind(schema.get('items') or {}, document)}"]
    words += [str(schema["format"])] if "format" in schema else []
    words += [f"{sign} {schema[bound]:g}" for bound, sign in _BOUNDS.items() if bound in schema]
    return ", ".join(words)


_BOUNDS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
    "minLength": "length ≥",
    "maxLength": "length ≤",
}


def _resolve(schema: Json, document: Json) -> Json:
    """Follow a reference inside the document."""
    while "$ref" in schema:
        found: Any = document
        for step in str(schema["$ref"]).removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema


def _form(method: str, path: str, operation: Json, document: Json) -> str:
    """Return the form that docs.js sends as a request."""
    inputs = "".join(
        f'<label>{escape(parameter["name"])} <input name="{escape(parameter["name"])}" '
        f'data-in="{escape(parameter["in"])}"></label>'
        for parameter in operation.get("parameters") or []
        if parameter["in"] in ("path", "query", "header")
    )
    schemas = list(_body_schemas(operation))
    if schemas:
        example = json.dumps(_example(schemas[0], document), indent=2)
        inputs += f'<label>body <textarea name="body" rows="8">{escape(example)}</textarea></label>'
    return (
        f'<form data-method="{method.upper()}" data-path="{escape(path)}">{inputs}'
        "<button>Try it</button><pre hidden></pre></form>"
    )


def _body_schemas(operation: Json) -> Iterator[Json]:
    for content in ((operation.get("requestBody") or {}).get("content") or {}).values():
        yield content.get("schema") or {}


def _example(schema: Json, document: Json, depth: int = 0) -> Any:
    """Return a value to start from: the required fields with empty values of their types."""
    schema = _resolve(schema, document)
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            return _example(schema[choice][0], document, depth)
    if "default" in schema:
        return schema["default"]
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema and depth < _DEEPEST:
        required = schema.get("required") or list(schema["properties"])
        return {name: _example(schema["properties"][name], document, depth + 1) for name in required}
    empty: dict[str, Any] = {
        "string": "",
        "integer": 0,
        "number": 0,
        "boolean": False,
        "array": [],
        "object": {},
    }
    return empty.get(str(schema.get("type")))
