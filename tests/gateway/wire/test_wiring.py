"""The times and sizes that connections are held to unless somebody chooses others."""

from typing import cast

import pytest

from gateway.wire import relay, upstream
from gateway.wire.door import Door
from gateway.wire.wiring import Wiring


@pytest.mark.behaviour(67)
def test_what_should_be_quick_has_these_deadlines() -> None:
    wiring = Wiring(cast(Door, None))

    assert (wiring.head_s, wiring.idle_s) == (10, 75)
    assert (upstream._CONNECT_S, relay.HANDSHAKE_S) == (5, 30)
