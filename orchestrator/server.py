"""Asking an OpenCode server: does it live, can it work, and ending its work in order.

An address and a password are enough. No container, state or engine is known here.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import quote

import anyio
import httpx

from orchestrator.containers import Address
from orchestrator.opencode import USERNAME

Client = httpx.AsyncClient  # noqa: TID251 - this adapter's, made by `client` and `stream_client`
_DISPOSE_TIMEOUT_S = 3.0
_CONNECT_TIMEOUT_S = 5.0
# A frozen server answers when it is woken: to wait for that is the caller's business.
_NO_HURRY = httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S)
# What runs in a container may answer in OpenCode's place, without end.
_LONGEST_ANSWER = 8 << 20


class NotReady(Exception):
    """It can't serve yet; `final` when waiting will not change that."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.final = final


@dataclass(frozen=True, slots=True)
class Answer:
    status_code: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Server:
    """One OpenCode server, as far as asking it goes."""

    client: Client
    address: Address
    password: str

    async def check_health(self, timeout_s: float) -> str | None:
        """Return OpenCode's version, as far as it tells one, if it is OpenCode that answers on the
        port; else raise NotReady."""
        answer = await self._ask("GET", "/global/health", timeout_s)
        if answer.status_code == 401:
            raise NotReady("The server refuses this container's password.", final=True)
        if answer.status_code != 200 or _json(answer).get("healthy") is not True:
            raise NotReady("What answers on its port is not a healthy OpenCode server.")
        version = _json(answer).get("version")
        return version if isinstance(version, str) else None

    async def check_instance(self, timeout_s: float) -> None:
        """Return if OpenCode can load the workspace: its health says nothing of that.

        Of the endpoints that load an instance this one reads the least and holds no secret.
        """
        answer = await self._ask("GET", "/session/status", timeout_s)
        if answer.status_code == 200:
            return
        raise NotReady(
            f"OpenCode can't load the workspace: {_words(_json(answer), answer.status_code)}.",
            final=400 <= answer.status_code < 500,
        )

    async def check_provider(self, provider: str, timeout_s: float) -> None:
        """Return if OpenCode can load the workspace for this provider and no other."""
        answer = await self._ask("GET", "/config", timeout_s)
        if answer.status_code != 200:
            words = _words(_json(answer), answer.status_code)
            raise NotReady(f"OpenCode can't load the workspace: {words}.", final=True)
        if _json(answer).get("enabled_providers") != [provider]:
            raise NotReady("OpenCode did not take its agent's configuration.", final=True)

    async def dispose(self) -> None:
        """Ask it to end its work in order. It is stopped whatever it answers, so errors are ours
        to ignore: a server that can't be asked has no order to end in."""
        try:
            await self._ask("POST", "/global/dispose", _DISPOSE_TIMEOUT_S)
        except NotReady:
            return

    async def abort(self, conversation: str, directory: str, timeout_s: float) -> None:
        """End a conversation's turn in order; NotReady if that can't be asked."""
        answer = await self._ask(
            "POST", f"/session/{conversation}/abort", timeout_s, inside(directory)
        )
        if answer.status_code != 200:
            raise NotReady(f"OpenCode refuses to abort a turn: it answers {answer.status_code}.")

    async def fetch(
        self, path: str, query: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Any:
        """The JSON at a path, waiting for it as long as it takes if no time is given."""
        answer = await self._ask("GET", path, timeout_s, query)
        if answer.status_code != 200:
            raise NotReady(f"OpenCode answers {answer.status_code} to GET {path}.")
        try:
            return answer.json()
        except (ValueError, RecursionError) as error:
            raise NotReady(f"OpenCode answers GET {path} with something else than JSON.") from error

    @asynccontextmanager
    async def streamed(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of an event stream, for as long as it lasts; NotReady when it breaks."""
        headers = {"accept-encoding": "identity"}
        with _told_as_not_ready():
            async with self.client.stream(
                "GET", self._url(path), auth=self._auth, headers=headers, timeout=_NO_HURRY
            ) as answer:
                kind = answer.headers.get("content-type", "")
                if answer.status_code != 200 or not kind.startswith("text/event-stream"):
                    raise NotReady(f"OpenCode has no event stream at {path}.")
                yield answer.aiter_raw()

    async def _ask(
        self,
        method: str,
        path: str,
        timeout_s: float | None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """The whole answer, within the time; httpx's own time begins anew with each piece."""
        url, auth = self._url(path), self._auth
        with _told_as_not_ready(), anyio.fail_after(timeout_s):
            async with self.client.stream(
                method, url, auth=auth, timeout=_NO_HURRY, params=query
            ) as answer:
                body = bytearray()
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > _LONGEST_ANSWER:
                        raise NotReady(f"What it answers to {method} {path} has no end.")
                return Answer(answer.status_code, bytes(body))

    def _url(self, path: str) -> str:
        return f"http://{self.address.host}:{self.address.port}{path}"

    @property
    def _auth(self) -> tuple[str, str]:
        return (USERNAME, self.password)


def inside(directory: str) -> dict[str, str]:
    """The query that addresses a directory: OpenCode decodes its value once more than others do."""
    return {"directory": quote(directory, safe="")}


@contextmanager
def _told_as_not_ready() -> Iterator[None]:
    try:
        yield
    except (httpx.TimeoutException, TimeoutError) as error:
        raise NotReady("It does not answer in time.") from error
    except httpx.HTTPError as error:
        raise NotReady("Nothing answers on its port.") from error


def client() -> Client:
    """For questions to containers: no connection is kept, because addresses are used again."""
    return _client(httpx.Limits(max_keepalive_connections=0))


def stream_client() -> Client:
    """For event streams, of which hundreds stay open: a pool looks through all its connections at
    each request, so that probes are better off in another one. No number of them is too many."""
    return _client(httpx.Limits(max_connections=None, max_keepalive_connections=0))


def _client(limits: httpx.Limits) -> Client:
    # A cookie that one container sets would be sent to the next one at its address.
    none = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    return Client(limits=limits, trust_env=False, cookies=none)


def _json(answer: Answer) -> dict[str, Any]:
    try:
        value = answer.json()
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _words(problem: dict[str, Any], status: int) -> str:
    """The error's name and the file it is about. Its message would quote the file itself."""
    name = problem.get("name", f"it answers {status}")
    details = problem.get("data")
    path = details.get("path") if isinstance(details, dict) else None
    return f"{name} in {path}" if path else str(name)
