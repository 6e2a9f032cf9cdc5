"""Secrets from standard input: asked of a person without an echo, or read whole from a pipe.

They are never arguments, where every process of the machine could read them. What makes a secret
good is not known here.
"""

import sys
from getpass import getpass

from gateway.cli.environment import CommandError


def read_token() -> str:
    return getpass("Token: ") if sys.stdin.isatty() else _whole()


def read_new_password() -> str:
    if not sys.stdin.isatty():
        return _one_line(_whole())
    password = getpass("Password: ")
    if getpass("Again: ") != password:
        raise CommandError("The two passwords differ.")
    return password


def _one_line(password: str) -> str:
    if "\n" in password:
        raise CommandError("A password is one line, and standard input has more of them.")
    return password


def _whole() -> str:
    """All there is, so that nothing is cut off unseen; but not the line feed that ends a file."""
    try:
        return sys.stdin.read().removesuffix("\n")
    except ValueError as error:
        raise CommandError("Standard input is not text in UTF-8.") from error
