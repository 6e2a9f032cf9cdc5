"""How many each may have at once."""

from gateway.wire.quota import Quota


def test_each_key_has_its_own_share() -> None:
    quota = Quota(2)

    assert [quota.take("a"), quota.take("a"), quota.take("a"), quota.take("b")] == [
        True, True, False, True,
    ]  # fmt: skip


def test_what_is_given_back_can_be_taken_again() -> None:
    quota = Quota(1)
    quota.take("a")
    quota.give("a")

    assert quota.take("a")


def test_nothing_is_remembered_of_who_has_nothing() -> None:
    quota = Quota(1)
    quota.take("a")
    quota.give("a")

    assert quota._taken == {}


def test_nought_is_no_limit() -> None:
    quota = Quota(0)

    assert all(quota.take("a") for _ in range(10_000))
