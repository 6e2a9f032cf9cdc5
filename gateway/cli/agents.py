"""`opencode-gateway agent …`: a user's agents, over the running gateway's API.

An agent's token comes from a file or standard input, never as an argument.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from gateway.agents import PROVIDERS
from gateway.cli.environment import CommandError
from gateway.cli.remote import acting_as, add_user_to
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
    remove.add_argument("agent_id")
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


def _remove(arguments: Namespace) -> None:
    with acting_as(arguments.user) as ask:
        ask("DELETE", f"/api/agents/{arguments.agent_id}")
