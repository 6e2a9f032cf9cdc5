"""Calls to the orchestrator: JSON out, views back, and its errors as the errors they were.

The only place that holds the service secret at run time. It keeps nothing and decides nothing.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx

from gateway.errors import GatewayError, from_response

View = dict[str, Any]

_ROOT = "/agent-controller"
# The orchestrator beats every 10 s; three missed beats are a lost stream.
_EVENTS_SILENCE_S = 30.0
# Nothing is started or stopped by these: an answer that takes longer is no use.
_AT_ONCE = httpx.Timeout(5.0)


class OrchestratorClient:
    """`patience_s` bounds a start from our side; the orchestrator's own deadline is shorter."""

    def __init__(self, url: str, secret: str, patience_s: float) -> None:
        self._url = url
        self._http = httpx.AsyncClient(  # noqa: TID251 - one for this one peer, without cookies
            base_url=url,
            headers={"Authorization": f"Bearer {secret}"},
            timeout=httpx.Timeout(patience_s + 10, connect=5),
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def ensure(self, order: Mapping[str, Any]) -> View:
        """Start a session's container, or find it running; return its view once ready."""
        return _view(await self._call("POST", "/sessions/agent", order))

    async def verify(self, session_id: str) -> View:
        """Have the container looked at now; return what it is found to be."""
        return _view(await self._call("POST", f"/sessions/{session_id}/verify"))

    async def stop(self, session_id: str) -> View:
        return _view(await self._call("POST", f"/sessions/{session_id}/stop"))

    async def remove(self, session_id: str) -> None:
        """Have container and volume deleted; returns when they are gone."""
        await self._call("DELETE", f"/sessions/{session_id}")

    async def show(self, session_id: str) -> View:
        """Return the view as it is now, with what comes next and when."""
        return _view(await self._call("GET", f"/sessions/{session_id}", patience=_AT_ONCE))

    async def show_many(self, session_ids: Sequence[str]) -> list[View]:
        """Return the views of those sessions that the orchestrator knows."""
        asked = {"id": session_ids}
        response = await self._call("GET", "/sessions", query=asked, patience=_AT_ONCE)
        views: list[View] = response.json()["sessions"]
        return views

    async def keep(self, session_id: str, for_s: float) -> View:
        """Keep the container awake for so long from now; nought ends it. Return the view."""
        path = f"/sessions/{session_id}/keep"
        return _view(await self._call("POST", path, {"for_s": for_s}, patience=_AT_ONCE))

    async def activity(self, session_ids: Sequence[str]) -> None:
        """Tell which sessions are used."""
        used = {"sessions": list(session_ids)}
        await self._call("POST", "/activity", used, patience=_AT_ONCE)

    async def metrics(self) -> str:
        """Return the orchestrator's own, as Prometheus text."""
        return (await self._call("GET", "/metrics", patience=_AT_ONCE)).text

    async def events(self) -> AsyncIterator[tuple[str, View]]:
        """Yield (event, data) from the orchestrator's stream: a snapshot, then every change."""
        timeout = httpx.Timeout(_EVENTS_SILENCE_S, connect=5)
        try:
            async with self._http.stream("GET", f"{_ROOT}/events", timeout=timeout) as response:
                if response.status_code != httpx.codes.OK:
                    raise from_response(response.status_code, await response.aread())
                event = ""
                async for line in response.aiter_lines():
                    if line.startswith("event: "):
                        event = line[7:]
                    elif line.startswith("data: "):
                        yield event, _parsed(line[6:])
        except httpx.TransportError as error:
            raise self._unavailable(error) from error

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Sequence[str]] | None = None,
        patience: httpx.Timeout | None = None,
    ) -> httpx.Response:
        try:
            response = await self._http.request(
                method,
                _ROOT + path,
                json=body,
                params=query,
                timeout=patience or self._http.timeout,
            )
        except httpx.TransportError as error:
            raise self._unavailable(error) from error
        if response.is_error:
            raise from_response(response.status_code, response.content)
        return response

    def _unavailable(self, error: Exception) -> GatewayError:
        return GatewayError(
            "orchestrator_unavailable",
            f"The orchestrator does not answer at {self._url}, so containers cannot be started "
            "or stopped now.",
            retry_after_s=5,
            reason=type(error).__name__,
        )


def _parsed(data: str) -> View:
    try:
        view: View = json.loads(data)
    except ValueError as error:
        raise GatewayError(
            "orchestrator_failed", "The orchestrator's event stream is not what it should be."
        ) from error
    return view


def _view(response: httpx.Response) -> View:
    view: View = response.json()
    return view
