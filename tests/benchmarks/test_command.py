"""The command `python -m benchmarks`, as far as it can be asked without measuring."""

import pytest

from benchmarks import __main__ as command


def test_a_wrong_name_is_told_with_the_right_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "sse"])

    with pytest.raises(SystemExit):
        command.main()

    assert "no such measurement: sse (choose from requests, transfers," in capsys.readouterr().err


def test_a_part_shows_the_tables_of_what_it_measured() -> None:
    results = {"requests_by_sessions": {"100": {"per_second": 5.0, "p99_us": 7.0}}}

    assert list(command._measured(results)) == [
        "| sessions, all in use | requests/s | p99, µs |\n| --- | ---: | ---: |\n| 100 | 5 | 7 |"
    ]


def test_what_needs_no_proxy_starts_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object) -> None:
        raise AssertionError("The proxies were started.")

    monkeypatch.setattr(command, "standing", started)
    monkeypatch.setitem(command._DEPLOYED, "session", lambda rounds: {"session": {"n": rounds}})

    assert command._measure(["session"], 3)["session"] == {"n": 3}
