"""What an answer of the API looks like. None is kept by caches: they hold one person's things."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

_UNKEPT = {"Cache-Control": "no-store"}


def answer(
    content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse(content, status, {**_UNKEPT, **(headers or {})})


def done(headers: Mapping[str, str] | None = None) -> Response:
    return Response(status_code=204, headers={**_UNKEPT, **(headers or {})})
