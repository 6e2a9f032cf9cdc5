"""Puts the tables of the results file into the documents, between the marks that name them.

`python -m benchmarks.documents` writes; with --check it writes nothing, and the exit code says
whether the documents tell what the results file does. It measures nothing.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks import tables

TOP = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("results.json")
DOCUMENTS = (TOP / "docs" / "performance.md", TOP / "README.md")
# <!-- figures: NAME --> … <!-- end of figures -->
BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    results = json.loads(RESULTS.read_text("utf-8"))
    behind = 0
    for document in DOCUMENTS:
        text = document.read_text("utf-8")
        wanted = filled(text, results)
        if wanted == text:
            continue
        if arguments == ["--check"]:
            name = document.relative_to(TOP)
            print(f"{name} is behind the results: run python -m benchmarks.documents.")
            behind = 1
        else:
            document.write_text(wanted, "utf-8")
    return behind


def filled(text: str, results: dict[str, Any]) -> str:
    """Return a document's text with what the results say in each of its blocks."""

    def block(found: re.Match[str]) -> str:
        return f"{found[1]}{tables.block(found[2], results)}\n{found[3]}"

    return BLOCK.sub(block, text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
