"""`make bench`: measure, write benchmarks/results.json, print the table."""

import json
import sys
from pathlib import Path

from benchmarks.deployment import ways
from benchmarks.small_requests import latency_us

_RESULTS = Path(__file__).with_name("results.json")
_MOST_ADDED_US = 2000.0


def main() -> int:
    print("Starting a deployment to measure …", flush=True)
    with ways() as both:
        print("Small requests, direct and through the gateway …", flush=True)
        results = {"latency_us": latency_us(both)}
    _RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    for name, row in results["latency_us"].items():
        print(f"  {name:8} p50 {row['p50']:8.0f} µs   p99 {row['p99']:8.0f} µs")
    added = results["latency_us"]["gateway"]["p50"] - results["latency_us"]["direct"]["p50"]
    print(f"The gateway adds {added:.0f} µs to the median (bar: {_MOST_ADDED_US:.0f} µs).")
    return 0 if added <= _MOST_ADDED_US else 1


if __name__ == "__main__":
    sys.exit(main())
