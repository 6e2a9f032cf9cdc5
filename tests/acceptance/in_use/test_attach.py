"""`opencode attach`, in a terminal, pointed at the gateway as if it were OpenCode."""

from pathlib import Path

import pytest

from tests.support.deployment import Deployment
from tests.support.desk import Desk
from tests.support.tmux import terminal
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.opencode]


async def test_a_prompt_typed_in_a_terminal_is_answered(
    deployment: Deployment, bob: Desk, opencode_binary: Path, tmp_path: Path
) -> None:
    """Bob's container does not run yet: attach would end on any answer but 2xx."""
    attach = (str(opencode_binary), "attach", bob.base_url, "--password", bob.access_token)
    with terminal(tmp_path, attach) as screen:
        await until(lambda: screen.shows("Ask anything"), "the prompt of attach", within_s=60)

        await screen.type("hello from a terminal")
        await until(lambda: screen.shows("hello from a terminal"), "what was typed")
        await screen.press("Enter")

        answer = "You said: hello from a terminal"
        await until(lambda: screen.shows(answer), "the answer", within_s=60)
