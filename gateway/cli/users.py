"""`opencode-gateway user …`: accounts, written straight into the gateway's database."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio

from gateway import administration
from gateway.cli.environment import CommandError, environment, state_folder
from gateway.cli.standard_input import read_new_password
from gateway.settings import Settings, load_settings
from gateway.store import Store
from migrations import upgrade


def add_to(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = verbs.add_parser("add", help="add a user and print a one-time link for them")
    add.add_argument("username")
    add.add_argument("--administrator", action="store_true", help="may administer the gateway")
    add.add_argument(
        "--password", action="store_true", help="ask for a password now, or read it from stdin"
    )
    add.set_defaults(run=_running(_add))
    verbs.add_parser("list", help="list users").set_defaults(run=_running(_list))
    password = verbs.add_parser("password", help="set a password: asks, or reads standard input")
    password.add_argument("username")
    password.set_defaults(run=_running(_password))
    link = verbs.add_parser("link", help="print a one-time link that lets a user in")
    link.add_argument("username", nargs="?", default=administration.FIRST_ADMINISTRATOR)
    link.set_defaults(run=_running(_link))


_Command = Callable[[Namespace, Settings, Store], Awaitable[None]]


def _running(command: _Command) -> Callable[[Namespace], None]:
    def run(arguments: Namespace) -> None:
        anyio.run(partial(_with_store, command, arguments))

    return run


async def _with_store(command: _Command, arguments: Namespace) -> None:
    settings = deployed_settings()
    async with opened(settings) as store:
        await command(arguments, settings, store)


def deployed_settings() -> Settings:
    """Settings of a deployment that exists; elsewhere they would make the keys of a new one."""
    environ = environment()
    folder = state_folder(environ)
    if not (folder / "keys" / "cookie.keys").exists():
        raise CommandError(
            f"There is no deployment at {folder}: run `opencode-gateway up` there, or set STATE."
        )
    return load_settings(environ)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Store]:
    """The gateway's store, at this version."""
    await upgrade(settings.database_url, "gateway")
    store = Store(settings.database_url)
    try:
        yield store
    finally:
        await store.close()


async def _add(arguments: Namespace, settings: Settings, store: Store) -> None:
    password = read_new_password() if arguments.password else None
    role: administration.Role = "administrator" if arguments.administrator else "user"
    user = await administration.create_user(store, arguments.username, password, role)
    print(f"{user.username} was added.")
    await _print_link(settings, store, user.username)


async def _list(_arguments: Namespace, _settings: Settings, store: Store) -> None:
    users = await administration.list_users(store)
    for user in users:
        print(f"{user.username}\t{user.role}")
    if not users:
        print("No users.", file=sys.stderr)  # what is read by a program stays empty


async def _password(arguments: Namespace, _settings: Settings, store: Store) -> None:
    await administration.find_user(store, arguments.username)
    await administration.set_password(store, arguments.username, read_new_password())
    print(f"{arguments.username} has a new password; logins by the old one end.")


async def _link(arguments: Namespace, settings: Settings, store: Store) -> None:
    await _print_link(settings, store, arguments.username)


async def _print_link(settings: Settings, store: Store, username: str) -> None:
    user = await administration.find_user(store, username)
    token = await administration.one_time_link(store, user)
    print(f"{settings.public_url}/gateway/login?token={token}")
