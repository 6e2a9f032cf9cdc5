"""OpenCode's SDK, pointed at the gateway as if it were OpenCode."""

from base64 import b64encode

import pytest

from tests.support.deployment import Deployment
from tests.support.desk import Desk
from tests.support.sdk import SdkProgram, sdk_program

pytestmark = [pytest.mark.docker, pytest.mark.opencode]


async def test_the_parts_of_an_answer_stream_to_a_program(
    deployment: Deployment, alice: Desk
) -> None:
    basic = f"Basic {b64encode(f'opencode:{alice.access_token}'.encode()).decode()}"

    async with sdk_program("stream", alice, "tell me about parts", basic) as program:
        told = await program.told(within_s=60)

    assert "".join(told["deltas"]) == "Hello! I am a scripted model. You said: tell me about parts"
    assert len(told["deltas"]) > 1
    assert told["conversation"] in {each["id"] for each in await alice.own("GET", "/session")}


async def test_a_turn_that_is_silent_for_over_a_minute_returns(silent_turn: SdkProgram) -> None:
    told = await silent_turn.told(within_s=110)

    assert told["seconds"] > 60
    assert told["text"].startswith("word 1 word 2 ")
    assert told["text"].endswith("end.")
