"""A template and its values become an HTML answer; the files that pages need, kept in memory.

Every page leaves with the same strict headers, and names its files by their content, so that a
browser keeps them for good. Nothing here knows which pages there are or what they say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_HERE = Path(__file__).parent
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class _Asset:
    content: bytes
    media_type: str
    version: str


def page(
    template: str,
    context: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    html = _TEMPLATES[template].render(context)
    return HTMLResponse(html, status, {**_PAGE_HEADERS, **(headers or {})})


def asset_url(name: str) -> str:
    """Where a file is, with the version that lets a browser keep it."""
    return f"/gateway/static/{name}?v={_ASSETS[name].version}"


async def asset(request: Request) -> Response:
    """Serve a file: for a year under the version it has, else to be asked for every time."""
    found = _ASSETS.get(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    # A script imports its neighbours without a version: those must never grow old.
    current = request.query_params.get("v") == found.version
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if current else "no-cache",
        "ETag": f'"{found.version}"',
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(found.content, headers=headers, media_type=found.media_type)


def _assets() -> dict[str, _Asset]:
    files = (file for file in (_HERE / "static").iterdir() if file.suffix in _MEDIA_TYPES)
    return {file.name: _read_asset(file) for file in files}


def _read_asset(file: Path) -> _Asset:
    content = file.read_bytes()
    return _Asset(content, _MEDIA_TYPES[file.suffix], sha256(content).hexdigest()[:12])


def _templates() -> dict[str, Template]:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = asset_url
    return {name: environment.get_template(name) for name in environment.list_templates()}


# Part of the program like its modules, and read as they are: at import, never on the event loop.
_ASSETS = _assets()
_TEMPLATES = _templates()
