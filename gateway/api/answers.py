"""What an answer of the API looks like. None is kept by caches: they hold one person's things."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

_UNKEPT = {"Cache-Control": "no-store"}


def answer(
    content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    # In ASCII: an error repeats what it refuses, which may hold half of a surrogate pair.
    body = json.dumps(content, allow_nan=False)
    return Response(body, status, {**_UNKEPT, **(headers or {})}, "application/json")


def done(headers: Mapping[str, str] | None = None) -> Response:
    return Response(status_code=204, headers={**_UNKEPT, **(headers or {})})
