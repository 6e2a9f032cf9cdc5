"""The `opencode-gateway` command: its verbs, and how their failures are told.

The only package that may import both `gateway` and `orchestrator`. Exit code 0 is done, 1 failed
with a sentence on standard error, 2 wrong use.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence

from gateway.cli import agents, doctor, services, sessions, up, users
from gateway.cli.environment import CommandError
from gateway.errors import GatewayError
from gateway.openapi import VERSION
from gateway.settings import SettingsError
from gateway.workers.crew import WorkersError
from migrations import MigrationError
from orchestrator.engines.base import EngineError
from orchestrator.settings import SettingsError as OrchestratorSettingsError

_TOLD = (
    CommandError,
    EngineError,
    GatewayError,
    MigrationError,
    OrchestratorSettingsError,
    SettingsError,
    WorkersError,
)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    return told(lambda: arguments.run(arguments))


def told(command: Callable[[], None]) -> int:
    """Run a command to its exit code, its failure told as a sentence."""
    try:
        command()
    except KeyboardInterrupt:
        return 1
    except _TOLD as error:
        print(error, file=sys.stderr)
        return 1
    except BaseExceptionGroup as group:
        told, rest = group.split(_TOLD)
        if told is None or rest is not None:
            raise
        for sentence in dict.fromkeys(str(leaf) for leaf in _leaves(told)):
            print(sentence, file=sys.stderr)
        return 1
    return 0


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="opencode-gateway",
        description="Each person's own OpenCode server, in its own container, behind one address.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    up.add_to(verbs.add_parser("up", help="run everything on this machine until Ctrl-C"))
    services.add_gateway_to(verbs.add_parser("gateway", help="run the gateway alone"))
    services.add_orchestrator_to(
        verbs.add_parser("orchestrator", help="run the orchestrator alone")
    )
    services.add_migrate_to(verbs.add_parser("migrate", help="bring both databases up to date"))
    doctor.add_to(verbs.add_parser("doctor", help="check what a deployment needs"))
    users.add_to(verbs.add_parser("user", help="add and list users, set passwords, make links"))
    agents.add_to(verbs.add_parser("agent", help="add, list and remove a user's agents"))
    sessions.add_to(verbs.add_parser("session", help="list, start, stop and remove sessions"))
    return parser
