"""Ending everything that is open under a key."""

from gateway.wire.live import Live


class Connection:
    def __init__(self, live: Live, *keys: str) -> None:
        self.revoked = 0
        self._live = live
        self._keys = keys
        live.enter(keys, self)

    def revoke(self) -> None:
        self.revoked += 1
        self._live.leave(self._keys, self)


def test_key_ends_its_connections_and_no_others() -> None:
    live = Live()
    first, second = Connection(live, "login", "session"), Connection(live, "session")
    other = Connection(live, "other")

    assert live.close("login") == 1
    assert (first.revoked, second.revoked, other.revoked) == (1, 0, 0)
    assert live.close("session") == 1
    assert second.revoked == 1


def test_nothing_is_kept_of_those_who_left() -> None:
    live = Live()
    connection = Connection(live, "login", "session")
    live.leave(("login", "session"), connection)
    live.leave(("login", "unknown"), connection)

    assert live.close("login") == 0
    assert live._held == {}
