"""/openapi.json: the table of routes as OpenAPI 3.1, from the structs that decode the requests."""

import http
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Protocol

import msgspec

from crewship.api.describing import EVENT_STREAM, About
from crewship.api.shapes import Error

PLACE = re.compile(r"\{(\w+)(?::[^}]*)?\}")
_SAID = re.compile(r"[A-Z]+ (/\S*): (.+)", re.DOTALL)
_REF = "#/components/schemas/{name}"

OPENING = """A self-hosted home for AI agents. JSON in, JSON out; unknown fields are ignored. Every answer carries \
`X-Request-Id`, `Crewship-Position` and how much is left of the key's rate limit."""
PARAMETERS = {
    "deployment": "A deployment's id or name.",
    "artifact": "The artifact's name; it may hold slashes.",
}
ERRORS = {
    400: "The request cannot be carried out as it stands; the message names the field at fault.",
    401: "No API key, or one that is not known, has expired or was revoked.",
    403: "The key's scope does not reach so far.",
    404: "There is no such thing.",
    409: "The thing is in a state, or was changed meanwhile, so that the request does not fit.",
    413: "The body is too large.",
    429: "Too many requests in too little time; `Retry-After` says when to come back.",
    503: "The server is not ready, full, or shutting down; try again after `Retry-After` seconds.",
}


class Described(Protocol):
    """A route as it stands in the table."""

    @property
    def method(self) -> str:
        """GET, POST, …"""
        ...

    @property
    def path(self) -> str:
        """The path with its places, as the router takes it."""
        ...

    @property
    def handler(self) -> Callable[..., Awaitable[Any]]:
        """What answers; its docstring begins with the method and the path."""
        ...

    @property
    def scope(self) -> str | None:
        """What a key needs."""
        ...


def said(route: Described) -> tuple[str, str]:
    """The summary and the description in a handler's docstring; both empty if it only names itself."""
    match = _SAID.match(inspect.getdoc(route.handler) or "")
    if match is None:
        return "", ""
    summary, _, rest = match[2].partition("\n\n")
    summary = " ".join(summary.split())
    return summary[:1].upper() + summary[1:], rest.strip()


def public_path(path: str) -> str:
    """The path without the router's own patterns."""
    return PLACE.sub(r"{\1}", path)


def group(path: str) -> str:
    """What a route belongs to: `runs`, `threads`, … or `server`."""
    parts = path.strip("/").split("/")
    return parts[1] if parts[0] == "v1" else parts[0] if parts[0] == "webhooks" else "server"


def build(routes: Sequence[Described], about: Mapping[Any, About]) -> dict[str, Any]:
    """The whole document. `about` says of each handler what it takes and gives."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        described = _operation(route, about.get(route.handler, About()), schemas)
        paths.setdefault(public_path(route.path), {})[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "Crewship", "version": version("crewship"), "description": OPENING},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "tags": [{"name": name} for name in dict.fromkeys(group(route.path) for route in routes)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key: csk_…"},
            },
        },
    }


def _operation(route: Described, about: About, schemas: dict[str, Any]) -> dict[str, Any]:
    summary, description = said(route)
    scope = f"Needs a key with the scope `{route.scope}`." if route.scope else about.open
    handler = route.handler
    operation: dict[str, Any] = {
        "operationId": f"{handler.__module__.rpartition('.')[2]}_{handler.__name__}",
        "tags": [group(route.path)],
        "summary": summary,
        "description": "\n\n".join(filter(None, (description, scope))),
        "parameters": _parameters(route, about),
        "responses": _responses(route, about, schemas),
    }
    if about.open:
        operation["security"] = []
    elif about.optional:
        operation["security"] = [{}, {"key": []}]
    if about.takes is not None:
        operation["requestBody"] = {"required": _wanted(about.takes), "content": _content(about.takes, schemas)}
    return operation


def _parameters(route: Described, about: About) -> list[dict[str, Any]]:
    def parameter(where: str, name: str, text: str, schema: dict[str, Any], required: bool) -> dict[str, Any]:
        return {"name": name, "in": where, "required": required, "description": text, "schema": schema}

    found = [
        parameter("path", name, PARAMETERS.get(name, f"The {name.replace('_', ' ')}."), {"type": "string"}, True)
        for name in PLACE.findall(route.path)
    ]
    found += [parameter("query", one.name, one.about, one.schema, one.required) for one in about.query]
    if about.creates:
        text = "The same request under the same key is carried out once; another under it is a 409. Kept for good."
        schema = {"type": "string", "minLength": 1, "maxLength": 255}
        found.append(parameter("header", "Idempotency-Key", text, schema, False))
    if about.gives == EVENT_STREAM:
        text = "Go on right behind that event, as an EventSource does by itself."
        found.append(parameter("header", "Last-Event-ID", text, {"type": "string"}, False))
    return found


def _responses(route: Described, about: About, schemas: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, shape in ((about.status, about.gives), *about.also):
        responses[str(status)] = {"description": http.HTTPStatus(status).phrase}
        if shape is not None:
            responses[str(status)]["content"] = _content(shape, schemas)
    error = {"content": _content(Error, schemas)}
    for status in errors_of(route, about):
        responses[str(status)] = {"description": ERRORS[status], **error}
    return responses


def errors_of(route: Described, about: About) -> list[int]:
    """What a route may refuse with."""
    possible = {400, 429, 503}
    if not about.open or about.signs_in:
        possible |= {401, 403}
    if (
        PLACE.search(route.path)
        or any(one.name.endswith("_id") for one in about.query)
        or about.takes
        or about.may_lack
    ):
        possible.add(404)
    if route.method != "GET":
        possible |= {409, 413}
    return sorted(possible)


def _wanted(shape: Any) -> bool:
    """Whether a request without a body is refused: an empty one is an empty object."""
    if not isinstance(shape, type) or not issubclass(shape, msgspec.Struct):
        return isinstance(shape, str)
    return any(field.required for field in msgspec.structs.fields(shape))


def _content(shape: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if isinstance(shape, str):
        return {shape: {} if shape == EVENT_STREAM else {"schema": {"type": "string"}}}
    (schema,), components = msgspec.json.schema_components([shape], ref_template=_REF)
    schemas.update(components)
    return {"application/json": {"schema": schema}}
