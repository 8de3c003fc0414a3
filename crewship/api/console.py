"""The console: a page and its parts, read once at start, served with a policy under which nothing else can run."""

import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Self

from aiohttp import web

from domain.errors import NotFound

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "frame-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
TYPES = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "txt": "text/plain",
}
PAGE = "index.html"
ICON = "icon.svg"
BOOT = "boot.js"
FOLDER = "{{console}}"
PRELOADED = "<!-- modules -->"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it goes over the wire, as it is and compressed."""

    content_type: str
    data: bytes
    compressed: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Assets:
    """All files of the console. `digest` names this state of them, so that their addresses can be kept for ever."""

    digest: str
    files: dict[str, Asset]

    @classmethod
    def load(cls) -> Self:
        """Read what the package holds; takes a few milliseconds."""
        found = dict(_read(resources.files("crewship") / "console"))
        digest = hashlib.sha256(b"".join(name.encode() + found[name] for name in sorted(found))).hexdigest()[:16]
        folder = f"/console/{digest}"
        modules = [name for name in sorted(found) if name.endswith(".js") and name != BOOT]
        preloaded = "\n".join(f'<link rel="modulepreload" href="{folder}/{name}">' for name in modules)
        page = found[PAGE].decode().replace(FOLDER, folder).replace(PRELOADED, preloaded)
        found[PAGE] = page.encode()
        return cls(digest, {name: _asset(name, data) for name, data in found.items()})


ASSETS = web.AppKey("assets", Assets)


async def page(request: web.Request) -> web.Response:
    """GET /: the console's one page; looked at anew each time, sent again only if it is another."""
    asset = request.app[ASSETS].files[PAGE]
    if asset.etag in (tag.value for tag in request.if_none_match or ()):
        return web.Response(status=304, headers={**HEADERS, "ETag": f'"{asset.etag}"', "Cache-Control": "no-cache"})
    return _sent(request, asset, "no-cache")


async def asset(request: web.Request) -> web.Response:
    """GET /console/{digest}/{name}: a part of the page, for ever the same under this address."""
    assets = request.app[ASSETS]
    found = assets.files.get(request.match_info["name"])
    if found is None or request.match_info["digest"] != assets.digest:
        raise NotFound("Not found")
    return _sent(request, found, "public, max-age=31536000, immutable")


async def icon(request: web.Request) -> web.Response:
    """GET /favicon.ico: for browsers that ask without having read the page."""
    return _sent(request, request.app[ASSETS].files[ICON], "public, max-age=86400")


def _read(folder: Traversable, prefix: str = "") -> "list[tuple[str, bytes]]":
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found.extend(_read(entry, f"{prefix}{entry.name}/"))
        elif entry.name.rpartition(".")[2] in TYPES:
            found.append((prefix + entry.name, entry.read_bytes()))
    return found


def _asset(name: str, data: bytes) -> Asset:
    content_type = TYPES[name.rpartition(".")[2]]
    return Asset(content_type, data, gzip.compress(data, mtime=0), hashlib.sha256(data).hexdigest()[:16])


def _sent(request: web.Request, asset: Asset, caching: str) -> web.Response:
    headers = {**HEADERS, "ETag": f'"{asset.etag}"', "Cache-Control": caching, "Vary": "Accept-Encoding"}
    data = asset.data
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        data = asset.compressed
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=data, content_type=asset.content_type, charset="utf-8", headers=headers)
