"""Whether the gateway serves, for whoever watches it, and the description of its API."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import answer
from gateway.errors import GatewayError
from gateway.openapi import VERSION, document
from gateway.parts import parts


async def health(request: Request) -> Response:
    """Ask the database and no container: an unhealthy orchestrator leaves ready sessions ready."""
    p = parts(request)
    told = {
        "version": VERSION,
        "orchestrator": {"connected": p.directory.connected},
        "shared": {"configured": p.shared is not None},
    }
    try:
        await p.store.check()
    except GatewayError as error:
        return answer({"healthy": False, "why": error.message, **told}, 503, error.headers)
    return answer({"healthy": True, **told})


async def openapi(_request: Request) -> Response:
    return answer(document())
