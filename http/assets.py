"""The prebuilt dashboard: read into memory once, so that no request ever touches a path."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from .problems import problem

_log = structlog.get_logger(__name__)

_INDEX = "index.html"
# Names below this folder carry a hash of their content: what they name never changes.
_HASHED = "assets/"
_WORTH_COMPRESSING = 1024
# A table of our own: `mimetypes` answers by what the machine has in /etc/mime.types.
_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_ALREADY_COMPRESSED = frozenset({".png", ".woff2"})


@dataclass(frozen=True, slots=True)
class Asset:
    body: bytes
    compressed: bytes | None
    content_type: str
    etag: str
    is_immutable: bool

    def reply(self, request: web.Request) -> web.Response:
        headers = {
            "Cache-Control": (
                "public, max-age=31536000, immutable" if self.is_immutable else "no-cache"
            ),
            "ETag": f'"{self.etag}"',
            "Vary": "Accept-Encoding",
        }
        if any(tag.value in (self.etag, "*") for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        body = self.body
        if self.compressed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            body = self.compressed
            headers["Content-Encoding"] = "gzip"
        headers["Content-Type"] = self.content_type
        return web.Response(body=body, headers=headers)


def load_dashboard(folder: Path | None) -> dict[str, Asset]:
    """The bundle's files by URL path, `/` among them; empty where it is not built."""
    root = folder or Path(str(files("positiond.static"))) / "dist"
    if not (root / _INDEX).is_file():
        _log.warning("the dashboard is not built: only the API is served")
        return {}
    found = (path for path in sorted(root.rglob("*")) if path.is_file())
    assets = {f"/{path.relative_to(root).as_posix()}": _asset(path, root) for path in found}
    assets["/"] = assets.pop(f"/{_INDEX}")
    return assets


def asset_routes(assets: Mapping[str, Asset]) -> dict[str, Handler]:
    """One handler per file; `/` is always there, if only to say that the bundle is not."""
    return {"/": _missing} | {path: _serve(asset) for path, asset in assets.items()}


def _asset(path: Path, root: Path) -> Asset:
    body = path.read_bytes()
    is_worth_it = len(body) > _WORTH_COMPRESSING and path.suffix not in _ALREADY_COMPRESSED
    return Asset(
        body=body,
        compressed=gzip.compress(body, mtime=0) if is_worth_it else None,
        content_type=_TYPES.get(path.suffix, "application/octet-stream"),
        etag=hashlib.sha256(body).hexdigest()[:32],
        is_immutable=path.relative_to(root).as_posix().startswith(_HASHED),
    )


def _serve(asset: Asset) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        return asset.reply(request)

    return serve


async def _missing(_request: web.Request) -> web.StreamResponse:
    return problem(
        "dashboard-missing", "This installation has no built dashboard; the API works."
    ).reply()
