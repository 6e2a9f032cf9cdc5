"""The commands as an operator types them: what they print, what they return, what they refuse."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from gateway.cli.environment import _packages, installed_opencode

_PROGRAM = Path(sys.executable).with_name("opencode-gateway")


class Operator:
    """Types commands in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self._environ = {"PATH": "/usr/bin:/bin", "STATE": str(self.state), "PORT": "1"}

    def types(
        self, *arguments: str, stdin: str = "", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [_PROGRAM, *arguments],
            input=stdin,
            env=self._environ | environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


@pytest.fixture
def keeper(operator: Operator) -> Operator:
    """Types in a folder with a deployment, which does not run."""
    operator.types("migrate")
    return operator


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield str(taken.getsockname()[1])


@pytest.mark.parametrize(
    "arguments",
    [["no-such-command"], ["user"], ["user", "add"], ["agent", "add", "x", "--provider", "none"]],
)
def test_wrong_use_is_exit_code_2(operator: Operator, arguments: list[str]) -> None:
    done = operator.types(*arguments)

    assert done.returncode == 2
    assert "usage:" in done.stderr


@pytest.mark.parametrize(
    "command", ["up", "gateway", "orchestrator", "migrate", "doctor", "user", "agent", "session"]
)
def test_every_command_explains_itself(operator: Operator, command: str) -> None:
    done = operator.types(command, "--help")

    assert done.returncode == 0
    assert f"opencode-gateway {command}" in done.stdout


def test_it_tells_its_version(operator: Operator) -> None:
    assert operator.types("--version").stdout == f"opencode-gateway {version('opencode-gateway')}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["user", "add", "alice"],
        ["user", "list"],
        ["user", "password", "alice"],
        ["user", "link"],
        ["agent", "list"],
        ["session", "list"],
    ],
)
def test_where_there_is_no_deployment_none_is_made(
    operator: Operator, arguments: list[str]
) -> None:
    done = operator.types(*arguments, stdin="correct horse")

    assert done.returncode == 1
    assert done.stderr == (
        f"There is no deployment at {operator.state}: "
        "run `opencode-gateway up` there, or set STATE.\n"
    )
    assert not operator.state.exists()


def test_a_list_of_no_users_says_so(keeper: Operator) -> None:
    done = keeper.types("user", "list")

    assert (done.stdout, done.stderr) == ("", "No users.\n")


def test_a_user_is_added_with_a_link_and_listed(keeper: Operator) -> None:
    added = keeper.types("user", "add", "Alice")
    listed = keeper.types("user", "list")

    assert added.returncode == 0
    assert "http://127.0.0.1:1/gateway/login?token=" in added.stdout
    assert listed.stdout == "alice\tuser\n"


def test_a_password_is_read_from_standard_input_and_not_repeated(keeper: Operator) -> None:
    keeper.types("user", "add", "alice")

    done = keeper.types("user", "password", "alice", stdin="correct horse battery\n")

    assert done.returncode == 0
    assert "correct horse" not in done.stdout + done.stderr


def test_a_short_password_is_refused_in_a_sentence(keeper: Operator) -> None:
    keeper.types("user", "add", "alice")

    done = keeper.types("user", "password", "alice", stdin="short\n")

    assert done.returncode == 1
    assert done.stderr == "A password has 8 to 1024 characters.\n"


@pytest.mark.parametrize("command", [["add", "--password", "bob"], ["password", "alice"]])
def test_a_password_of_several_lines_is_refused_not_cut(
    keeper: Operator, command: list[str]
) -> None:
    keeper.types("user", "add", "alice")

    done = keeper.types("user", *command, stdin="correct horse\nbattery\n")

    assert done.returncode == 1
    assert done.stderr == "A password is one line, and standard input has more of them.\n"


def test_a_link_for_nobody_is_refused(keeper: Operator) -> None:
    done = keeper.types("user", "link", "nobody")

    assert done.returncode == 1
    assert done.stderr == ("There is no user 'nobody': `opencode-gateway user list` lists them.\n")


def test_who_has_no_administrator_is_told_to_name_a_user(keeper: Operator) -> None:
    done = keeper.types("session", "list")

    assert done.returncode == 1
    assert done.stderr == (
        "There is no user 'administrator': `opencode-gateway user list` lists them. "
        "Name one with --user.\n"
    )


@pytest.mark.parametrize("arguments", [["agent", "list"], ["session", "list"]])
def test_without_a_gateway_the_commands_say_that_none_answers(
    keeper: Operator, arguments: list[str]
) -> None:
    keeper.types("user", "add", "--administrator", "administrator")

    done = keeper.types(*arguments)

    assert done.returncode == 1
    assert "No gateway answers at http://127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_of_another_machine_is_told(operator: Operator) -> None:
    done = operator.types("up", HOST="192.0.2.1")

    assert done.returncode == 1
    assert done.stderr == "This machine has no address 192.0.2.1: choose another with HOST=.\n"


@pytest.mark.parametrize("command", ["up", "gateway"])
def test_a_port_in_use_is_told_with_the_setting_to_change(
    operator: Operator, command: str, taken_port: str
) -> None:
    done = operator.types(command, PORT=taken_port)

    assert done.returncode == 1
    assert done.stderr == (
        f"Port {taken_port} of 127.0.0.1 can't be used: Address already in use. "
        "Stop what uses it, or choose another with PORT=.\n"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "eighty"), ("ENGINE", "podman"), ("LOG_LEVEL", "loud"), ("START_TIMEOUT_S", "0")],
)
def test_a_bad_setting_is_named(operator: Operator, name: str, value: str) -> None:
    done = operator.types("up", **{"PORT": "0", name: value})

    assert done.returncode == 1
    assert done.stderr.startswith(f"{name} must be")


def test_an_engine_that_does_not_answer_is_told_when_docker_is_required(operator: Operator) -> None:
    absent = f"unix://{operator.state}/no.sock"

    done = operator.types("up", ENGINE="docker", PORT="0", DOCKER_HOST=absent)

    assert done.returncode == 1
    assert "Docker" in done.stderr
    assert "Traceback" not in done.stderr


def test_migrate_makes_both_databases(operator: Operator) -> None:
    done = operator.types("migrate")

    assert done.returncode == 0
    assert (operator.state / "gateway.db").exists()
    assert (operator.state / "orchestrator.db").exists()


def test_a_newer_database_is_refused_in_a_sentence(operator: Operator) -> None:
    operator.types("migrate")
    _pretend_newer(operator.state / "gateway.db")

    done = operator.types("user", "list")

    assert done.returncode == 1
    assert "written by a newer version" in done.stderr


def _pretend_newer(database: Path) -> None:
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "c.execute('update gateway_revision set version_num = ?', ('from-the-future',)); c.commit()"
    )
    subprocess.run([sys.executable, "-c", script, database], check=True)


def test_doctor_names_keys_that_others_can_read(operator: Operator) -> None:
    operator.types("migrate")
    (operator.state / "keys" / "cookie.keys").chmod(0o644)

    done = operator.types("doctor")

    assert done.returncode == 1
    assert "others can read cookie.keys: chmod 600" in done.stdout


def test_doctor_asks_a_gateway_alone_for_nothing_of_the_orchestrators(keeper: Operator) -> None:
    keeper.types("user", "add", "alice")
    bare = {"PATH": "/nowhere", "OPENCODE_BIN": "/nowhere/opencode", "ENGINE": "docker"}

    together = keeper.types("doctor", **bare)
    alone = keeper.types("doctor", ORCHESTRATOR_URL="http://orchestrator:8001", **bare)

    assert (together.returncode, alone.returncode) == (1, 0)
    assert alone.stdout.count("not needed here") == 5


def test_doctor_tells_a_port_that_something_else_uses(operator: Operator, taken_port: str) -> None:
    done = operator.types("doctor", PORT=taken_port)

    assert f"--  port         {taken_port} of 127.0.0.1 is in use" in done.stdout


def test_doctor_reads_every_setting(operator: Operator) -> None:
    done = operator.types("doctor", MAX_HEADERS="x")

    assert done.returncode == 1
    assert "!!  settings     MAX_HEADERS must be" in done.stdout


def test_doctor_tells_an_orchestrator_elsewhere_that_does_not_answer(operator: Operator) -> None:
    done = operator.types("doctor", ORCHESTRATOR_URL="http://127.0.0.1:1")

    assert "--  orchestrator the one at ORCHESTRATOR_URL does not answer" in done.stdout


def test_doctor_changes_nothing(operator: Operator) -> None:
    operator.types("doctor")

    assert not operator.state.exists()


@pytest.mark.parametrize(
    ("machine", "flags", "names"),
    [
        ("x86_64", {"avx2"}, ["opencode-linux-x64", "opencode-linux-x64-baseline"]),
        ("x86_64", set(), ["opencode-linux-x64-baseline"]),
        ("aarch64", set(), ["opencode-linux-arm64"]),
    ],
)
def test_the_package_for_this_processor_is_chosen(
    machine: str, flags: set[str], names: list[str]
) -> None:
    assert _packages("Linux", machine, frozenset(flags)) == names


def test_where_npm_installed_nothing_there_is_no_program(tmp_path: Path) -> None:
    assert installed_opencode(tmp_path) is None
