"""What the documents say of speed is what the results file says, and that is of one whole run."""

import json
import re
from typing import Any

import pytest

from benchmarks.documents import BLOCK, DOCUMENTS, RESULTS, TOP, filled
from benchmarks.tables import BLOCKS, ROWS, block

_RESULTS: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))
_PROXIES = ROWS[:-1]
# What the load is made of is given in some of these too, and is no figure.
_FIGURE = re.compile(
    r"[\d.,]*\d\s?(?:µs|us\b|ms\b|[KMG]i?B/s|(?:requests|events|messages)/s|times\b|%)"
    r"|[\d.,]*\d\s?\N{MULTIPLICATION SIGN}|\N{MULTIPLICATION SIGN}\s?\d"
)
_OF_THE_LOAD = {"100 events/s"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_tables_of_a_document_are_those_of_the_results(document: Any) -> None:
    text = document.read_text("utf-8")

    assert filled(text, _RESULTS) == text


def test_every_table_is_shown() -> None:
    shown = {found[2] for path in DOCUMENTS for found in BLOCK.finditer(path.read_text("utf-8"))}

    assert shown == set(BLOCKS)


def test_every_table_has_its_figures() -> None:
    assert [name for name in BLOCKS if "Not in this run" in block(name, _RESULTS)] == []


_OTHERS = [path for path in (TOP / "docs").glob("*.md") if path not in DOCUMENTS]


@pytest.mark.parametrize("document", [*DOCUMENTS, *_OTHERS], ids=lambda path: path.name)
def test_no_figure_stands_outside_the_tables(document: Any) -> None:
    """It would stay as it is when the next run finds another."""
    prose = BLOCK.sub("", document.read_text("utf-8"))

    assert set(_FIGURE.findall(prose)) - _OF_THE_LOAD == set()


@pytest.mark.parametrize("figure", ["480 µs", "7 ms", "1,500 MB/s", "39,000 requests/s", "3 times"])
def test_a_figure_in_prose_is_recognised(figure: str) -> None:
    assert _FIGURE.search(f"It makes {figure} here.")


@pytest.mark.parametrize(
    ("key", "rows"),
    [
        ("requests_per_second", ROWS),
        ("latency_us", ROWS),
        ("download_mb_per_s", ROWS),
        ("upload_mb_per_s", ROWS),
        ("sse_events_per_second", ROWS),
        ("sse_added_delay_us", ROWS),
        ("websocket_messages_per_second", ROWS),
        ("idle_stream_kib", _PROXIES),
    ],
)
def test_the_results_have_every_row(key: str, rows: tuple[str, ...]) -> None:
    assert set(rows) <= set(_RESULTS[key])


def test_the_gateway_adds_less_than_two_milliseconds_to_a_real_container() -> None:
    found = _RESULTS["real_container_latency_us"]

    assert found["gateway"]["p50"] - found["direct"]["p50"] <= 2000
