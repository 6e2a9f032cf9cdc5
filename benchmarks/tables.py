"""The tables of a results file, in Markdown; pure, and the only place where figures become text."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.bars import BARS
from benchmarks.life_tables import density, session, starts
from benchmarks.markdown import NONE, ratio, shown, table

Results = Mapping[str, Any]

ROWS = ("gateway", "nginx", "haproxy", "caddy", "configurable-http-proxy", "direct")
_PROXIES = ROWS[:-1]
# Of each line of the main table: what it is, the key in the results, the key within a row.
_MAIN = (
    ("requests/s", "requests_per_second", None),
    ("… p50, µs", "latency_us", "p50"),
    ("… p99, µs", "latency_us", "p99"),
    ("requests/s, no two alike", "different_requests_per_second", None),
    ("download, MB/s", "download_mb_per_s", None),
    ("upload, MB/s", "upload_mb_per_s", None),
    ("events/s, of 20,000", "sse_events_per_second", None),
    ("… added delay p50, µs", "sse_added_delay_us", "p50"),
    ("… added delay p99, µs", "sse_added_delay_us", "p99"),
    ("WebSocket messages/s", "websocket_messages_per_second", None),
    ("idle event stream, KiB", "idle_stream_kib", None),
    ("p99 without 5,000 idle streams, µs", "idle_streams_latency_us", "p99_without"),
    ("p99 with them, µs", "idle_streams_latency_us", "p99_with"),
    ("memory grown by transfers, MiB", "transfer_memory_growth_mib", None),
)


def main(results: Results) -> str:
    head = ["", *ROWS, "gateway ÷ nginx"]
    return table(head, [_line(results, *each) for each in _MAIN if each[1] in results])


def bars(results: Results) -> str:
    lines = []
    for bar in BARS:
        value = bar.reached(results)
        wanted = f"{'at least' if bar.least else 'at most'} {bar.ratio:g}"
        verdict = "not measured" if value is None else "yes" if bar.holds(value) else "**no**"
        found = NONE if value is None else f"{value:.2f}"
        lines.append([f"{bar.work} ÷ {bar.compared}", wanted, found, verdict])
    return table(["", "wanted", "found", "reached"], lines)


def buffers(results: Results) -> str:
    """What nginx gains from larger buffers, which it does not have by default."""
    lines = [
        [way, *(shown(results[f"{way}_mb_per_s"].get(row)) for row in _BUFFERED)]
        for way in ("download", "upload")
    ]
    return table(["MB/s", *_BUFFERED], lines)


_BUFFERED = ("gateway", "nginx", "nginx-64k")


def costs(results: Results) -> str:
    """Time on the proxy's core for each piece of work."""
    lines = [
        [
            f"{unit}, µs",
            *(shown(found.get(row)) for row in _PROXIES),
            ratio(found.get("gateway"), found.get("nginx")),
        ]
        for unit, found in results["proxy_cpu_us"].items()
    ]
    return table(["", *_PROXIES, "gateway ÷ nginx"], lines)


def busy(results: Results) -> str:
    """How busy the proxy's core was with a kind of work, and how busy the load's was."""
    ours, loads = results["proxy_busy"], results["load_busy"]
    lines = [
        [
            unit,
            *(f"{_percent(ours[unit], row)} / {_percent(loads[unit], row)}" for row in ROWS),
        ]
        for unit in ours
    ]
    return table(["", *ROWS], lines)


def parts(results: Results) -> str:
    found: Mapping[str, float] = results["request_parts_us"]
    whole = sum(found.values())
    lines = [[owner, shown(value), f"{value / whole:.0%}"] for owner, value in found.items()]
    return table(["of one request", "µs", "share"], [*lines, ["whole", shown(whole), "100%"]])


def least(results: Results) -> str:
    lines = [[what, shown(value)] for what, value in results["request_least_us"].items()]
    return table(["one request", "µs"], lines)


def clients(results: Results) -> str:
    lines = [
        [
            clients,
            *(
                shown(found[row][key])
                for row in ("gateway", "nginx")
                for key in ("per_second", "p99_us")
            ),
        ]
        for clients, found in results["requests_by_clients"].items()
    ]
    head = ["clients", "gateway, requests/s", "… p99, µs", "nginx, requests/s", "… p99, µs"]
    return table(head, lines)


def sessions(results: Results) -> str:
    lines = [
        [shown(int(known)), shown(found["per_second"]), shown(found["p99_us"])]
        for known, found in results["requests_by_sessions"].items()
    ]
    return table(["sessions, all in use", "requests/s", "p99, µs"], lines)


def workers(results: Results) -> str:
    found = results.get("workers_requests_per_second", {})
    lines = [[count, shown(value), ratio(value, found["1"])] for count, value in found.items()]
    return table(["workers", "requests/s", "÷ one"], lines)


def container(results: Results) -> str:
    found = results["real_container_latency_us"]
    lines = [[way, shown(each["p50"]), shown(each["p99"])] for way, each in found.items()]
    added = found["gateway"]["p50"] - found["direct"]["p50"]
    return table(["to a real container", "p50, µs", "p99, µs"], [
        *lines, ["added", shown(added), ""]
    ])  # fmt: skip


def machine(results: Results) -> str:
    parts = [f"{name} {value}" for name, value in results["machine"].items()]
    run, later = results["run"], results.get("lives_run")
    measured = f"Measured on {run['date']} at commit {run['commit']} with: {', '.join(parts)}."
    if later is None:
        return measured
    # What takes a quarter of an hour beside proxies says nothing of containers, and the reverse.
    return f"{measured} Containers' lives: on {later['date']} at commit {later['commit']}."


def block(name: str, results: Results) -> str:
    """Return what stands in a document's block of this name."""
    try:
        return BLOCKS[name](results)
    except KeyError:
        return "Not in this run's results."


BLOCKS: Mapping[str, Callable[[Results], str]] = {
    "main": main,
    "bars": bars,
    "buffers": buffers,
    "costs": costs,
    "busy": busy,
    "parts": parts,
    "least": least,
    "clients": clients,
    "sessions": sessions,
    "workers": workers,
    "container": container,
    "session": session,
    "starts": starts,
    "density": density,
    "machine": machine,
}


def _line(results: Results, title: str, key: str, inner: str | None) -> list[str]:
    found = results[key]
    values = [found[row][inner] if inner and row in found else found.get(row) for row in ROWS]
    return [title, *map(shown, values), ratio(values[0], values[1])]


def _percent(found: Mapping[str, float], row: str) -> str:
    return f"{found[row]:.0%}" if row in found else NONE
