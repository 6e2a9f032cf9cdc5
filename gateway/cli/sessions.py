"""`opencode-gateway session …`: a user's sessions, over the running gateway's API."""

from argparse import ArgumentParser, Namespace

from gateway.cli.remote import acting_as, add_user_to


def add_to(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    show = verbs.add_parser("list", help="list a user's sessions")
    add_user_to(show)
    show.set_defaults(run=_list)
    for verb, method, about in (
        ("start", "POST", "start a session's container"),
        ("stop", "POST", "stop a session's container; its files stay"),
        ("remove", "DELETE", "delete a session with its container and files"),
    ):
        command = verbs.add_parser(verb, help=about)
        command.add_argument("session_id")
        add_user_to(command)
        path = "" if method == "DELETE" else f"/{verb}"
        command.set_defaults(run=_act, method=method, path=path)


def _list(arguments: Namespace) -> None:
    with acting_as(arguments.user) as ask:
        found = ask("GET", "/api/sessions")
    for session in found["sessions"]:
        title = session["title"] or "-"
        print(f"{session['id']}\t{session['state']}\t{title}\t{session['why']}")


def _act(arguments: Namespace) -> None:
    with acting_as(arguments.user) as ask:
        ask(arguments.method, f"/api/sessions/{arguments.session_id}{arguments.path}")
