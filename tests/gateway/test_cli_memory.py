"""What doctor tells of a machine's memory."""

from pathlib import Path

import pytest

from gateway.cli.findings import Missing
from gateway.cli.memory import Memory, check, has_room, read_memory, sentence

GIB = 1 << 30


def test_it_is_told_how_many_containers_fit_beside_what_is_kept_free() -> None:
    told = sentence(Memory(24 * GIB, 16 * GIB + GIB // 2), 2 * GIB, GIB // 2)

    assert told == (
        "16.5 GiB of 24 GiB available: 8 containers of 2 GiB (MEMORY_BYTES), "
        "or 57 of a typical 300 MB"
    )


def test_where_not_one_fits_there_is_no_room() -> None:
    assert not has_room(Memory(4 * GIB, GIB // 2), GIB // 2)
    assert not has_room(Memory(4 * GIB, 0), GIB // 2)
    assert has_room(Memory(4 * GIB, GIB), GIB // 2)


def test_memory_is_what_the_kernel_tells(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  2048 kB\nMemFree:  1 kB\nMemAvailable:  1024 kB\nHugePages: 0\n")

    assert read_memory(meminfo) == Memory(2 << 20, 1 << 20)


def test_a_system_without_the_kernels_file_tells_nothing(tmp_path: Path) -> None:
    assert read_memory(tmp_path / "meminfo") is None


@pytest.mark.parametrize(
    "environ", [{"DOCKER_HOST": "ssh://elsewhere"}, {"MEMORY_BYTES": "plenty"}]
)
def test_what_can_not_be_known_is_not_told(environ: dict[str, str]) -> None:
    with pytest.raises(Missing, match="not told"):
        check(environ)
