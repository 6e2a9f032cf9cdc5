"""Which of the two a test without its real part becomes."""

import pytest

from tests.support.absent import absent
from tests.support.installed import installed


def test_a_part_that_is_missing_skips_its_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUIRE_DOCKER", raising=False)

    with pytest.raises(pytest.skip.Exception, match="No such part: make one"):
        absent("No such part: make one.")


def test_a_part_that_is_missing_fails_them_where_all_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUIRE_DOCKER", "1")

    with pytest.raises(pytest.fail.Exception, match="no-such-program is not installed"):
        installed("no-such-program")
