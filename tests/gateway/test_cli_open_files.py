"""How many files a program of ours may have open."""

import resource
from collections.abc import Iterator

import pytest

from gateway.cli.open_files import allow_most


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_soft_limit_becomes_the_hard_one() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))

    assert allow_most() == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_limit_that_cannot_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_what: int, _limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with monkeypatch.context() as patched:
        patched.setattr(resource, "setrlimit", refuse)

        assert allow_most() == soft
