"""Ask the running gateway, over its own API, in the name of one of its users.

Whoever may read the database may let anybody in, so a one-time link stands in for a password. What
is changed this way is known to the gateway at once. It knows addresses and errors, no verbs.
"""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
import httpx

from gateway import administration
from gateway.cli.environment import CommandError
from gateway.cli.serving import local_url
from gateway.cli.users import deployed_settings, opened
from gateway.errors import GatewayError
from gateway.settings import Settings

# Starting a container may take START_TIMEOUT_S; the API answers before, this is the limit of all.
_TIMEOUT_S = 120.0

Ask = Callable[..., Any]


def add_user_to(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--user",
        default=administration.FIRST_ADMINISTRATOR,
        metavar="USERNAME",
        help="whose (default: %(default)s)",
    )


@contextmanager
def acting_as(username: str) -> Iterator[Ask]:
    """Yield `ask(method, path, body=None)`, which returns the answer's JSON."""
    settings = deployed_settings()
    token = anyio.run(partial(_link_token, settings, username))
    with httpx.Client(
        base_url=local_url(settings.host, settings.port), timeout=_TIMEOUT_S
    ) as client:
        entered = _sent(client, "GET", "/gateway/login", params={"token": token})
        # Copied by hand: over TLS the cookie is for TLS only, and this connection is local.
        client.headers["Cookie"] = entered.headers["set-cookie"].partition(";")[0]
        try:
            yield partial(_ask, client)
        finally:
            _sent(client, "POST", "/gateway/logout")


async def _link_token(settings: Settings, username: str) -> str:
    async with opened(settings) as store:
        try:
            user = await administration.find_user(store, username)
        except GatewayError as error:
            raise CommandError(f"{error} Name one with --user.") from error
        return await administration.one_time_link(store, user)


def _ask(client: httpx.Client, method: str, path: str, body: object = None) -> Any:
    answer = _sent(client, method, path, json=body) if body else _sent(client, method, path)
    return answer.json() if answer.content else None


def _sent(client: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:
    try:
        answer = client.request(method, path, **content)
    except httpx.TransportError as error:
        raise CommandError(
            f"No gateway answers at {client.base_url}: start one, "
            "or set PORT and STATE as they are set for it."
        ) from error
    if answer.status_code >= 400:
        raise CommandError(_complaint(answer))
    return answer


def _complaint(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["data"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"The gateway answered {answer.status_code}."
