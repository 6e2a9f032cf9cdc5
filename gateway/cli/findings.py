"""What a check of `doctor` is, and how it says that something is not as it should be."""

from collections.abc import Callable, Mapping

Environ = Mapping[str, str]
Check = Callable[[Environ], str]


class Broken(Exception):
    """A check failed; the message says what to do."""


class Missing(Exception):
    """Something is absent that a deployment can do without; the message says what that means."""
