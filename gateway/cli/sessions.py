"""`opencode-gateway session …`: a user's sessions, over the running gateway's API.

A list is a line each for a program, and a paragraph each for a person at a terminal.
"""

import re
import shutil
import sys
import textwrap
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping
from typing import Any

from gateway.cli.remote import acting_as, add_user_to

_UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_WIDEST = 100


def add_to(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    show = verbs.add_parser("list", help="list a user's sessions")
    add_user_to(show)
    show.set_defaults(run=_list)
    for verb, run, about in (
        ("start", _change, "start a session's container"),
        ("stop", _change, "stop a session's container; its files stay"),
        ("keep-awake", _keep_awake, "keep a session's container from being frozen or stopped"),
        ("remove", _remove, "delete a session with its container and files"),
    ):
        command = verbs.add_parser(verb, help=about)
        command.add_argument("session_id")
        if run is _keep_awake:
            command.add_argument(
                "--for",
                dest="for_s",
                type=duration_s,
                default=3600.0,
                metavar="TIME",
                help="how long, as 30m, 4h or 1d; 0 ends it (default: 1h)",
            )
        add_user_to(command)
        command.set_defaults(run=run, verb=verb)


def duration_s(text: str) -> float:
    """Seconds, from a number with its unit; a bare one is of seconds."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?) ?([a-z]*)", text.strip().lower())
    unit_s = _UNITS_S.get(found[2] or "s") if found else None
    if found is None or unit_s is None:
        raise ArgumentTypeError(f"{text!r} is no time such as 90s, 30m, 4h or 1d")
    return float(found[1]) * unit_s


def line(session: Mapping[str, Any]) -> str:
    """A session as a program reads it: one line, columns with tabs between."""
    title = session["title"] or "-"
    return f"{session['id']}\t{standing(session)}\t{title}\t{_printable(session['why'])}"


def paragraph(session: Mapping[str, Any], columns: int) -> str:
    """A session as a person reads it at a terminal that is so wide."""
    head = f"{session['id']}  {standing(session):<8}  {session['title'] or '-'}"
    why = textwrap.fill(
        _printable(session["why"]),
        max(24, min(columns, _WIDEST)),
        initial_indent="    ",
        subsequent_indent="    ",
    )
    return f"{head[: max(40, columns)]}\n{why}"


def standing(session: Mapping[str, Any]) -> str:
    """Its state, or the way out of it that it is on."""
    phase = session.get("phase")
    return str(phase if phase in ("stopping", "removing") else session["state"])


def _printable(text: str) -> str:
    """What a container printed may be in it: nothing of that may move the cursor."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _list(arguments: Namespace) -> None:
    with acting_as(arguments.user) as ask:
        found = ask("GET", "/api/sessions")["sessions"]
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for session in found:
        print(line(session) if columns is None else paragraph(session, columns))
    if not found:
        print("No sessions.", file=sys.stderr)  # what is read by a program stays empty


def _change(arguments: Namespace) -> None:
    with acting_as(arguments.user) as ask:
        session = ask("POST", f"/api/sessions/{arguments.session_id}/{arguments.verb}")
    _tell(session)


def _keep_awake(arguments: Namespace) -> None:
    with acting_as(arguments.user) as ask:
        wish = {"for_s": arguments.for_s}
        session = ask("POST", f"/api/sessions/{arguments.session_id}/keep-awake", wish)
    _tell(session)


def _tell(session: Mapping[str, Any]) -> None:
    print(f"Session {session['id']} is {standing(session)}. {_printable(session['why'])}")


def _remove(arguments: Namespace) -> None:
    with acting_as(arguments.user) as ask:
        ask("DELETE", f"/api/sessions/{arguments.session_id}")
    print(f"Session {arguments.session_id} was removed, with its container and files.")
