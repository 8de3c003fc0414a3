"""/docs: the description of the API as a page to read. Made on the server, of nothing but what is here."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from typing import Any

STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
nav a{margin-right:1rem}
details{border:1px solid #8886;border-radius:6px;margin:.5rem 0;padding:.5rem .75rem}
summary{cursor:pointer;overflow-wrap:anywhere}
code{font:14px ui-monospace,monospace}
b.method{display:inline-block;min-width:4rem;font:600 14px ui-monospace,monospace}
.what{display:block;padding-left:4rem;opacity:.85}
table{border-collapse:collapse;width:100%;margin:.25rem 0 1rem}
th,td{text-align:left;vertical-align:top;border-bottom:1px solid #8884;padding:.25rem .75rem .25rem 0}
"""
POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(document: dict[str, Any]) -> str:
    """The whole page."""
    groups = [tag["name"] for tag in document["tags"]]
    operations = [
        (operation["tags"][0], method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = document["components"]["schemas"]
    sections = "".join(
        f'<h2 id="{escape(name)}">{escape(name)}</h2>'
        + "".join(_operation(method, path, one, schemas) for at, method, path, one in operations if at == name)
        for name in groups
    )
    links = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in groups)
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Crewship API</title>'
        f"<style>{STYLE}</style></head><body><h1>Crewship API {escape(info['version'])}</h1>"
        f"<p>{_prose(info['description'])}</p>"
        '<p>The same for machines: <a href="/openapi.json">/openapi.json</a>.</p>'
        f"<nav>{links}</nav><main>{sections}</main></body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    parts = [f"<p>{_prose(part)}</p>" for part in operation["description"].split("\n\n") if part]
    if operation["parameters"]:
        rows = [
            (f"<code>{escape(one['name'])}</code> ({one['in']})", _kind(one["schema"]), _prose(one["description"]))
            for one in operation["parameters"]
        ]
        parts.append(_table("Parameters", rows))
    if body := operation.get("requestBody"):
        parts.append(_content("Body", body["content"], schemas))
    for status, response in operation["responses"].items():
        if status < "400":
            parts.append(_content(f"{status} {response['description']}", response.get("content", {}), schemas))
    refusals = [(code, _prose(one["description"])) for code, one in operation["responses"].items() if code >= "400"]
    parts.append(_table("Errors", refusals))
    head = f'<b class="method">{method}</b> <code>{escape(path)}</code>'
    what = f'<span class="what">{_prose(operation["summary"])}</span>'
    return f"<details><summary>{head}{what}</summary>{''.join(parts)}</details>"


def _content(title: str, content: dict[str, Any], schemas: dict[str, Any]) -> str:
    shown = "".join(
        _schema(title, held["schema"], schemas) if kind == "application/json" else _table(title, [(escape(kind),)])
        for kind, held in content.items()
    )
    return shown or _table(title, [("empty",)])


def _schema(title: str, schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    resolved = schemas.get(name, schema)
    rows = [
        (f"<code>{escape(field)}</code>{'' if field in resolved.get('required', ()) else ' ?'}", _kind(one))
        for field, one in resolved.get("properties", {}).items()
    ]
    return _table(f"{title}: {name or _kind(schema)}", rows)


def _kind(schema: dict[str, Any]) -> str:
    """The schema in a few words."""
    if "$ref" in schema:
        return escape(str(schema["$ref"]).rpartition("/")[2])
    if "enum" in schema:
        return escape(" | ".join(map(str, schema["enum"])))
    if "anyOf" in schema:
        return " | ".join(_kind(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return escape(str(schema.get("type", "anything")))


def _table(title: str, rows: Sequence[tuple[str, ...]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table><tr><th colspan="3">{escape(title)}</th></tr>{body}</table>'


def _prose(text: str) -> str:
    """Text with `code` in it, as HTML."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if at % 2 else piece for at, piece in enumerate(pieces))
