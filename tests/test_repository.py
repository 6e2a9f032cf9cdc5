"""What must stay true of the files that no program runs."""

import json
import re
from pathlib import Path

import pytest

_TOP = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "file", ["package-lock.json", "requirements.lock", "images/gateway/requirements.lock"]
)
def test_a_lock_file_names_no_registry(file: str) -> None:
    """It must work with whichever registry a machine is set up for."""
    assert "://" not in (_TOP / file).read_text("utf-8")


def test_the_image_installs_the_versions_that_are_tested() -> None:
    tested = _versions("requirements.lock")
    installed = _versions("images/gateway/requirements.lock")

    assert installed.items() <= tested.items()


def _versions(file: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (_TOP / file).read_text("utf-8"), re.M))


def test_the_image_that_is_built_is_the_one_that_is_started() -> None:
    version = json.loads((_TOP / "package.json").read_text("utf-8"))["dependencies"]["opencode-ai"]
    image = f"opencode-gateway-agent:{version}"

    for file in ("gateway/settings.py", "orchestrator/settings.py", "docker-compose.yml"):
        assert image in (_TOP / file).read_text("utf-8"), file
