"""What a JSON value may be: each check returns the value, or raises a sentence naming its field.

Pure. It knows kinds of values (a line of text, a number, an address) and no agent or session.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from gateway.errors import GatewayError

_LONGEST_URL = 2000


def refuse(field: str, sentence: str) -> GatewayError:
    return GatewayError("invalid_request", sentence, field=field)


def only(body: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse a field that is not known: a misspelt wish must not be granted silently."""
    for name in body:
        if name not in known:
            raise refuse(
                name[:100], f"There is no field {name[:100]!r} here; known: {', '.join(known)}."
            )


def need(body: Mapping[str, Any], name: str) -> Any:
    if body.get(name) is None:
        raise refuse(name, f"{name} is missing.")
    return body[name]


def line(field: str, value: object, most: int, *, least: int = 1) -> str:
    """One line of text; what cannot be printed cannot be stored or shown either."""
    if not isinstance(value, str):
        raise refuse(field, f"{field} must be text.")
    text = value.strip(" ")
    if not least <= len(text) <= most:
        raise refuse(field, f"{field} must have {least} to {most} characters.")
    if not text.isprintable():
        raise refuse(field, f"{field} must be one line without control characters.")
    return text


def secret(field: str, value: object, most: int) -> str:
    """A secret exactly as it was given; it travels in header fields, which carry ASCII only."""
    if not isinstance(value, str):
        raise refuse(field, f"{field} must be text.")
    if not 1 <= len(value) <= most:
        raise refuse(field, f"{field} must have 1 to {most} characters.")
    if not (value.isascii() and value.isprintable() and value == value.strip()):
        raise refuse(
            field,
            f"{field} must be one line of plain characters: "
            "no line breaks, no spaces around it, no control characters, only ASCII.",
        )
    return value


def number(field: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise refuse(field, f"{field} must be a number.")
    if not least <= value <= most:
        raise refuse(field, f"{field} must be from {least:,} to {most:,}.")
    return value


def whole_number(field: str, value: object, least: int, most: int) -> int:
    found = number(field, value, least, most)
    if found != int(found):
        raise refuse(field, f"{field} must be a whole number.")
    return int(found)


def address(field: str, value: object) -> str:
    """An http or https address; credentials in it would show wherever it is shown."""
    text = line(field, value, _LONGEST_URL)
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or "@" in parts.netloc or " " in text or parts.fragment or parts.query:
        raise refuse(
            field,
            f"{field} must be an address like https://api.example.org/v1, "
            "without a user name, a password or a query.",
        )
    return text
