"""Write the table of a container's states into docs/architecture.md, from the code that obeys it.

With --check nothing is written, and the exit code says whether the document tells the truth.
"""

import sys
from pathlib import Path

from orchestrator.lifecycle import TRANSITIONS, Event

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "architecture.md"
BEGIN, END = "<!-- states: written by scripts/state_table.py -->", "<!-- end of states -->"


def main(arguments: list[str]) -> int:
    text = DOCUMENT.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}\n{table()}{END}{after}"
    if arguments == ["--check"]:
        if wanted != text:
            print("docs/architecture.md is behind the code: run scripts/state_table.py.")
        return int(wanted != text)
    DOCUMENT.write_text(wanted, "utf-8")
    return 0


def table() -> str:
    """One row for each thing that can happen, one column for each state it may happen in."""
    head = ["what happens", *(f"`{state}`" for state in TRANSITIONS)]
    rows = [
        [str(event), *(str(moves.get(event, "")) for moves in TRANSITIONS.values())]
        for event in Event
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
