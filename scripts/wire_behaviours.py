"""Write docs/wire-behaviours.md: what the data plane promises on the wire, and the tests of it.

The promises stand in a table beside the tests; which tests cover one is read from pytest's own
collection of `@pytest.mark.behaviour(number, …)`. With --check nothing is written, and the exit
code says whether the document tells the truth and every promise has a test.
"""

import io
import sys
import tomllib
from collections import defaultdict
from contextlib import redirect_stdout
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
BEHAVIOURS = ROOT / "tests" / "gateway" / "wire" / "behaviours" / "behaviours.toml"
DOCUMENT = ROOT / "docs" / "wire-behaviours.md"
TESTS = "tests/gateway"
_HEAD = (
    "# What holds on the wire\n\n"
    "Every rule that the data plane keeps towards clients and upstreams, how it answers where a "
    "rule leaves a choice, and the tests that hold it to that. Written by "
    "`scripts/wire_behaviours.py` from `tests/gateway/wire/behaviours/behaviours.toml` and the "
    "tests' markers; `make check` says when it is behind.\n"
)


class Collector:
    """A pytest plugin that notes which test functions carry which number."""

    def __init__(self) -> None:
        self.tests: defaultdict[int, list[str]] = defaultdict(list)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            name = item.nodeid.partition("[")[0]
            for marker in item.iter_markers("behaviour"):
                for number in marker.args:
                    if name not in self.tests[number]:
                        self.tests[number].append(name)


def main(arguments: list[str]) -> int:
    behaviours = tomllib.loads(BEHAVIOURS.read_text("utf-8"))["behaviour"]
    tests = collected()
    if complaints := _complaints(behaviours, tests):
        print("\n".join(complaints))
        return 1
    wanted = page(behaviours, tests)
    if arguments == ["--check"]:
        current = DOCUMENT.read_text("utf-8") if DOCUMENT.exists() else ""
        if wanted != current:
            print("docs/wire-behaviours.md is behind the tests: run scripts/wire_behaviours.py.")
        return int(wanted != current)
    DOCUMENT.write_text(wanted, "utf-8")
    return 0


def collected() -> dict[int, list[str]]:
    """Return the names of the tests of each number, in the order of their files."""
    collector, output = Collector(), io.StringIO()
    with redirect_stdout(output):
        ended = pytest.main(
            ["--collect-only", "-q", "--rootdir", str(ROOT), *_marked()], [collector]
        )
    if ended is not pytest.ExitCode.OK:
        sys.exit(output.getvalue())
    return {number: sorted(names) for number, names in collector.tests.items()}


def _marked() -> list[str]:
    """Return the files that name behaviours; with all others it takes a third longer."""
    files = sorted((ROOT / TESTS).rglob("test_*.py"))
    return [str(file) for file in files if "mark.behaviour(" in file.read_text("utf-8")]


def _complaints(behaviours: list[dict[str, Any]], tests: dict[int, list[str]]) -> list[str]:
    numbers = [behaviour["number"] for behaviour in behaviours]
    counted = list(range(1, len(numbers) + 1))
    return [
        *(f"Behaviour {n} has no test." for n in numbers if n not in tests),
        *(f"{tests[n][0]} names behaviour {n}, which is none." for n in tests if n not in numbers),
        *(["The numbers do not count on from 1."] if numbers != counted else []),
    ]


def page(behaviours: list[dict[str, Any]], tests: dict[int, list[str]]) -> str:
    parts = [_HEAD]
    for group, members in groupby(behaviours, lambda behaviour: behaviour["group"]):
        parts.append(f"\n## {group}\n")
        parts += [_section(behaviour, tests[behaviour["number"]]) for behaviour in members]
    return "".join(parts)


def _section(behaviour: dict[str, Any], tests: list[str]) -> str:
    rows = []
    for file, names in groupby(tests, lambda name: name.partition("::")[0]):
        functions = ", ".join(f"`{name.partition('::')[2]}`" for name in names)
        rows.append(f"- `{file}`: {functions}\n")
    return (
        f"\n### {behaviour['number']}. {behaviour['name']}\n"
        f"{behaviour['rule']} *{behaviour['rfc']}.*\n\n"
        f"*Here:* {behaviour['answer']}\n\n"
        f"{''.join(rows)}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
