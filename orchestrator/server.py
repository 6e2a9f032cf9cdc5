"""Asking an OpenCode server: does it live, can it work, and ending its work in order.

An address and a password are enough. No container, state or engine is known here.
"""

from dataclasses import dataclass
from typing import Any

import httpx

from orchestrator.containers import Address
from orchestrator.opencode import USERNAME

Client = httpx.AsyncClient  # noqa: TID251 - this adapter's one client, made by `client`
_DISPOSE_TIMEOUT_S = 3.0


class NotReady(Exception):
    """It can't serve yet; `final` when waiting will not change that."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.final = final


@dataclass(frozen=True, slots=True)
class Server:
    """One OpenCode server, as far as asking it goes."""

    client: Client
    address: Address
    password: str

    async def check_health(self, timeout_s: float) -> None:
        """Return if the program on the port is OpenCode and answers at all, else raise NotReady."""
        answer = await self._ask("GET", "/global/health", timeout_s)
        if answer.status_code == 401:
            raise NotReady("The server refuses this container's password.", final=True)
        if answer.status_code != 200 or _json(answer).get("healthy") is not True:
            raise NotReady("What answers on its port is not a healthy OpenCode server.")

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

    async def dispose(self) -> None:
        """Ask it to end its work in order. It is stopped whatever it answers, so errors are ours
        to ignore: a server that can't be asked has no order to end in."""
        try:
            await self._ask("POST", "/global/dispose", _DISPOSE_TIMEOUT_S)
        except NotReady:
            return

    async def _ask(self, method: str, path: str, timeout_s: float) -> httpx.Response:
        url = f"http://{self.address.host}:{self.address.port}{path}"
        auth = (USERNAME, self.password)
        try:
            return await self.client.request(method, url, auth=auth, timeout=timeout_s)
        except httpx.TimeoutException as error:
            raise NotReady("It does not answer in time.") from error
        except httpx.HTTPError as error:
            raise NotReady("Nothing answers on its port.") from error


def client() -> Client:
    """For questions to containers: no connection is kept, because addresses are used again."""
    return Client(limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _words(problem: dict[str, Any], status: int) -> str:
    """The error's name and the file it is about. Its message would quote the file itself."""
    name = problem.get("name", f"it answers {status}")
    details = problem.get("data")
    path = details.get("path") if isinstance(details, dict) else None
    return f"{name} in {path}" if path else str(name)
