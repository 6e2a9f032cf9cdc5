"""Wait for what nobody announces: a screen that changes, a container that ends.

What can be awaited as an event is awaited so; this is for the rest, and has a deadline each time.
"""

from collections.abc import Awaitable, Callable

import anyio

_LOOK_EVERY_S = 0.1


async def until(holds: Callable[[], Awaitable[bool]], what: str, within_s: float = 30) -> None:
    """Return once it holds; fail with `what` was waited for."""
    deadline = anyio.current_time() + within_s
    while not await holds():
        assert anyio.current_time() < deadline, f"After {within_s:g} s still not so: {what}"
        await anyio.sleep(_LOOK_EVERY_S)
