"""`opencode-gateway session …`: a user's sessions, over the running gateway's API."""

import sys
from argparse import ArgumentParser, Namespace

from gateway.cli.remote import acting_as, add_user_to


def add_to(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    show = verbs.add_parser("list", help="list a user's sessions")
    add_user_to(show)
    show.set_defaults(run=_list)
    for verb, run, about in (
        ("start", _change, "start a session's container"),
        ("stop", _change, "stop a session's container; its files stay"),
        ("remove", _remove, "delete a session with its container and files"),
    ):
        command = verbs.add_parser(verb, help=about)
        command.add_argument("session_id")
        add_user_to(command)
        command.set_defaults(run=run, verb=verb)


def _list(arguments: Namespace) -> None:
    with acting_as(arguments.user) as ask:
        found = ask("GET", "/api/sessions")
    for session in found["sessions"]:
        title = session["title"] or "-"
        print(f"{session['id']}\t{session['state']}\t{title}\t{session['why']}")
    if not found["sessions"]:
        print("No sessions.", file=sys.stderr)  # what is read by a program stays empty


def _change(arguments: Namespace) -> None:
    with acting_as(arguments.user) as ask:
        session = ask("POST", f"/api/sessions/{arguments.session_id}/{arguments.verb}")
    print(f"Session {session['id']} is {session['state']}. {session['why']}")


def _remove(arguments: Namespace) -> None:
    with acting_as(arguments.user) as ask:
        ask("DELETE", f"/api/sessions/{arguments.session_id}")
    print(f"Session {arguments.session_id} was removed, with its container and files.")
