"""A template and its values become an HTML answer; files beside them are served to be cached.

Every page leaves with the same strict headers, and names its files by their content, so that a
browser keeps them for good. Nothing here knows which pages there are or what they say.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from starlette.datastructures import QueryParams
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_HERE = Path(__file__).parent
_STATIC = _HERE / "static"
_PREFIX = "/gateway/static/"

_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def _digests() -> dict[str, str]:
    return {f.name: sha256(f.read_bytes()).hexdigest()[:12] for f in _STATIC.iterdir()}


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


def asset_url(name: str) -> str:
    """Where a static file is, with the version that lets a browser keep it."""
    return f"{_PREFIX}{name}?v={_VERSIONS[name]}"


def page(
    template: str,
    context: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    html = _TEMPLATES[template].render(context)
    return HTMLResponse(html, status, {**_PAGE_HEADERS, **(headers or {})})


class Assets(StaticFiles):
    """Static files: kept for a year under the version they have, else asked for every time."""

    def __init__(self) -> None:
        super().__init__(directory=_STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        asked = QueryParams(scope["query_string"]).get("v")
        # A script imports its neighbours without a version: those must never grow old.
        current = asked is not None and asked == _VERSIONS.get(path)
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if current else "no-cache"
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


# Part of the program like its modules, and read as they are: at import, never on the event loop.
_VERSIONS = _digests()
_TEMPLATES = _templates()
