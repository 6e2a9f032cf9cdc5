"""`opencode-gateway agent …`: a user's agents, over the running gateway's API.

An agent's token comes from a file or standard input, never as an argument.
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from gateway.agents import PROVIDERS
from gateway.cli.environment import CommandError
from gateway.cli.remote import Ask, acting_as, add_user_to
from gateway.cli.standard_input import read_token


def add_to(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = verbs.add_parser("add", help="add an agent; its token is read from standard input")
    add.add_argument("name")
    add.add_argument("--provider", required=True, choices=PROVIDERS)
    add.add_argument("--token-file", type=Path, metavar="FILE", help="read the token from FILE")
    for option in ("model", "base-url", "image"):
        add.add_argument(f"--{option}", metavar=option.upper())
    add_user_to(add)
    add.set_defaults(run=_add)
    show = verbs.add_parser("list", help="list a user's agents")
    add_user_to(show)
    show.set_defaults(run=_list)
    remove = verbs.add_parser("remove", help="remove an agent that no session uses")
    remove.add_argument("agent", help="its name or its id")
    add_user_to(remove)
    remove.set_defaults(run=_remove)


def _add(arguments: Namespace) -> None:
    wish = {
        "name": arguments.name,
        "provider": arguments.provider,
        "token": _token(arguments.token_file),
        "model": arguments.model,
        "base_url": arguments.base_url,
        "image": arguments.image,
    }
    with acting_as(arguments.user) as ask:
        agent = ask("POST", "/api/agents", {k: v for k, v in wish.items() if v is not None})
    print(agent["id"])


def _token(file: Path | None) -> str:
    if file is None:
        return read_token()
    try:
        return file.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise CommandError(f"The token can't be read from {file}: {error}.") from error


def _list(arguments: Namespace) -> None:
    with acting_as(arguments.user) as ask:
        found = ask("GET", "/api/agents")
    for agent in found["agents"]:
        model = agent["model"] or "-"
        print(
            f"{agent['id']}\t{agent['name']}\t{agent['provider']}\t{model}\t{agent['token_hint']}"
        )
    if not found["agents"]:
        print("No agents.", file=sys.stderr)  # what is read by a program stays empty


def _remove(arguments: Namespace) -> None:
    with acting_as(arguments.user) as ask:
        agent = _named(ask, arguments.agent)
        ask("DELETE", f"/api/agents/{agent['id']}")
    print(f"Agent {agent['name']} was removed.")


def _named(ask: Ask, wanted: str) -> dict[str, Any]:
    """The agent with this id, or else the only one with this name."""
    agents: list[dict[str, Any]] = ask("GET", "/api/agents")["agents"]
    found = [agent for agent in agents if agent["id"] == wanted]
    found = found or [agent for agent in agents if agent["name"] == wanted]
    if not found:
        raise CommandError(f"No agent of this user has the name or id {wanted!r}.")
    if len(found) > 1:
        raise CommandError(f"{len(found)} agents are named {wanted!r}: give the id of one.")
    return found[0]
