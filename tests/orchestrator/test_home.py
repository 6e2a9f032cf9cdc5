"""What OpenCode finds in its home keeps it from fetching what no session asked for."""

import io
import json
import tarfile

from orchestrator.engines import home
from orchestrator.engines.docker_files import volume_archive

_LOCK = ".config/opencode/package-lock.json"


def test_the_lock_names_the_package_that_opencode_would_fetch() -> None:
    lock = json.loads(home.FILES[_LOCK])

    assert "@opencode-ai/plugin" in lock["packages"][""]["dependencies"]


def test_the_folder_that_opencode_looks_for_before_it_reads_the_lock_is_there() -> None:
    assert ".config/opencode/node_modules" in home.FOLDERS


def test_the_home_of_a_container_is_its_users_from_the_first_folder_down() -> None:
    with tarfile.open(fileobj=io.BytesIO(volume_archive())) as archive:
        entries = {entry.name: entry for entry in archive.getmembers()}

    assert {entry.uid for entry in entries.values()} == {1000}
    assert entries["workspace/.home/.config/opencode/node_modules"].isdir()
    assert entries[f"workspace/.home/{_LOCK}"].isfile()
