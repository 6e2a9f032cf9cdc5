"""The page of behaviours tells the truth: it was made of the tests, and every number has one."""

import subprocess
import sys
from pathlib import Path

_TOP = Path(__file__).resolve().parents[4]


def test_every_behaviour_has_a_test_and_the_page_names_them() -> None:
    done = subprocess.run(
        [sys.executable, _TOP / "scripts" / "wire_behaviours.py", "--check"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.stdout == ""
    assert done.returncode == 0
