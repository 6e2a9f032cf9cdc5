"""The script that looks after what the benchmarks compare the gateway with."""

import shutil
import subprocess
from pathlib import Path

_SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench-programs"


def test_what_may_not_be_installed_is_named_and_the_rest_is_installed(tmp_path: Path) -> None:
    _stub(tmp_path, "id", "echo 1000")
    _stub(tmp_path, "npm", f'echo "$@" > {tmp_path}/asked')
    for needed in ("env", "bash", "dirname"):
        (tmp_path / needed).symlink_to(str(shutil.which(needed)))

    done = subprocess.run([_SCRIPT], env={"PATH": str(tmp_path)}, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert {"caddy", "wrk", "gcc"} <= set(done.stdout.replace(";", "").split())
    assert (tmp_path / "asked").read_text() == "ci --prefix benchmarks\n"


def _stub(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
