"""The orchestrator of the gateway under test, scripted: every session is ready at the upstream.

`python -m benchmarks.orchestrator PORT FILE`; the file holds the sessions' ids and where they are.
It starts no container and does not know who asks.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

_BEAT_S = 10
_ROOT = "/agent-controller"


def main() -> None:
    port, file = sys.argv[1:]
    told = json.loads(Path(file).read_text())
    views = {each: _view(each, told["upstream"]) for each in told["sessions"]}

    async def ensure(request: Request) -> Response:
        return JSONResponse(views[(await request.json())["session_id"]])

    async def verify(request: Request) -> Response:
        return JSONResponse(views[request.path_params["id"]])

    async def events(_request: Request) -> Response:
        return StreamingResponse(_events(list(views.values())), media_type="text/event-stream")

    app = Starlette(
        routes=[
            Route(f"{_ROOT}/sessions/agent", ensure, methods=["POST"]),
            Route(f"{_ROOT}/sessions/{{id}}/verify", verify, methods=["POST"]),
            Route(f"{_ROOT}/events", events),
        ]
    )
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", ws="none")


def _view(session_id: str, port: int) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "container": f"agent_{session_id}",
        "generation": 1,
        "state": "ready",
        "why": "It is ready.",
        "since": datetime.now(tz=UTC).isoformat(),
        "address": {"host": "127.0.0.1", "port": port},
        "credential": {"username": "opencode", "password": "benchmark"},
        "workspace": "/workspace",
    }


async def _events(views: list[dict[str, Any]]) -> AsyncIterator[str]:
    yield f"event: snapshot\ndata: {json.dumps({'sessions': views})}\n\n"
    while True:
        await asyncio.sleep(_BEAT_S)
        yield ": beat\n\n"


if __name__ == "__main__":
    main()
