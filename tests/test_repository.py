"""What must stay true of the files that no program runs."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

_TOP = Path(__file__).resolve().parents[1]
_ROOMS = ("gateway", "orchestrator", "migrations", "demo", "tests", "benchmarks")
# Drivers that a URL chooses, a loop that an option chooses, commands, and a plugin of pytest's.
_USED_BY_NAME = {"aiosqlite", "asyncpg", "uvloop", "mypy", "ruff", "pytest-timeout"}


@pytest.mark.parametrize(
    "file",
    [
        "package-lock.json",
        "benchmarks/package-lock.json",
        "requirements.lock",
        "images/gateway/requirements.lock",
    ],
)
def test_a_lock_file_names_no_registry(file: str) -> None:
    """It must work with whichever registry a machine is set up for."""
    assert "://" not in _read(file)


def test_the_image_installs_the_versions_that_are_tested() -> None:
    tested = _versions("requirements.lock")
    installed = _versions("images/gateway/requirements.lock")

    assert installed.items() <= tested.items()


def test_every_dependency_is_used() -> None:
    project = tomllib.loads(_read("pyproject.toml"))
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    found = {re.split(r"[^\w-]", each, maxsplit=1)[0] for each in wanted}
    imported = {
        name
        for room in _ROOMS
        for module in (_TOP / room).rglob("*.py")
        for name in _imported(module)
    }
    distributions = packages_distributions()
    used = {
        each.lower().replace("_", "-") for name in imported for each in distributions.get(name, ())
    }

    assert found - used - _USED_BY_NAME == set()


def _versions(file: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", _read(file), re.M))


def test_the_readme_shows_every_picture_that_is_kept() -> None:
    shown = re.findall(r"!\[[^]]+\]\((docs/pictures/[^)]+)\)", _read("README.md"))
    kept = [path.relative_to(_TOP).as_posix() for path in (_TOP / "docs/pictures").iterdir()]

    assert sorted(shown) == sorted(kept)


@pytest.mark.parametrize(
    "settings", ["gateway/settings.py", "gateway/limits.py", "orchestrator/settings.py"]
)
def test_the_readme_names_every_setting(settings: str) -> None:
    texts = {node.value for node in _nodes(_TOP / settings) if isinstance(node, ast.Constant)}
    names = {text for text in texts if isinstance(text, str) and re.fullmatch("[A-Z][A-Z_]+", text)}

    names -= {"PATH"}  # every machine's own
    shown = _read("README.md")

    assert len(names) > 6
    assert [name for name in names if f"`{name.removesuffix('_FILE')}`" not in shown] == []


def _read(file: str) -> str:
    return (_TOP / file).read_text("utf-8")


def test_the_image_that_is_built_is_the_one_that_is_started() -> None:
    version = json.loads(_read("package.json"))["dependencies"]["opencode-ai"]
    image = f"opencode-gateway-agent:{version}"

    for file in ("gateway/settings.py", "orchestrator/settings.py", "docker-compose.yml"):
        assert image in _read(file), file


@pytest.mark.parametrize(
    ("room", "never"),
    [
        ("orchestrator", "gateway"),
        ("migrations", "gateway"),
        ("gateway", "orchestrator"),
        ("gateway", "demo"),
    ],
)
def test_a_room_knows_nothing_of_what_stands_above_or_beside_it(room: str, never: str) -> None:
    """The commands alone may know both packages; they bring them together."""
    modules = [m for m in (_TOP / room).rglob("*.py") if "cli" not in m.parts]

    offenders = [str(module) for module in modules if never in _imported(module)]

    assert modules
    assert offenders == []


def test_the_data_plane_imports_nothing_else_of_the_gateway() -> None:
    """It knows bytes, heads and deadlines: no cookie, session or database."""
    for module in (_TOP / "gateway" / "wire").rglob("*.py"):
        ours = {name for name in _names(module) if name.split(".")[0] == "gateway"}
        assert all(name.startswith("gateway.wire") for name in ours), module


def _imported(module: Path) -> set[str]:
    return {name.split(".")[0] for name in _names(module)}


def _names(module: Path) -> Iterator[str]:
    for node in _nodes(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_no_task_is_started_that_has_no_owner() -> None:
    """Lint bans the functions of asyncio; a loop has the method, too."""
    starters = {"create_task", "ensure_future"}

    places = [
        module.relative_to(_TOP).as_posix()
        for room in ("gateway", "orchestrator")
        for module in (_TOP / room).rglob("*.py")
        if starters & _called(module)
    ]

    assert places == ["gateway/wire/tasks.py"]


def test_one_place_decides_what_becomes_of_a_test_without_its_real_part() -> None:
    skippers = {"skip", "skipif", "importorskip", "skipTest", "skipUnless"}

    places = [
        module.relative_to(_TOP).as_posix()
        for module in (_TOP / "tests").rglob("*.py")
        if skippers & _called(module)
    ]

    assert places == ["tests/support/absent.py"]


def _called(module: Path) -> set[str]:
    """The names, without what they are looked up in, of all functions that are called there."""
    calls = [node.func for node in _nodes(module) if isinstance(node, ast.Call)]
    return {call.attr for call in calls if isinstance(call, ast.Attribute)} | {
        call.id for call in calls if isinstance(call, ast.Name)
    }


def _nodes(module: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(module.read_text("utf-8")))
