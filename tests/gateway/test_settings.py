"""Settings are read once, and every bad value is a sentence that names its variable."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from gateway.keys import read_or_make
from gateway.settings import DEFAULT_IMAGE, Settings, SettingsError, Shared, load_settings


def load(tmp_path: Path, **environ: str) -> Settings:
    return load_settings({"STATE": str(tmp_path / "state"), **environ})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_empty_environment_gives_a_gateway_for_this_machine(tmp_path: Path) -> None:
    settings = load(tmp_path)

    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.public_url == "http://127.0.0.1:8000"
    assert settings.database_url == f"sqlite+aiosqlite:///{tmp_path}/state/gateway.db"
    assert settings.orchestrator_url == "http://127.0.0.1:8001"
    assert settings.agent_images == (DEFAULT_IMAGE,)
    assert settings.shared is None
    assert settings.start_timeout_s == 60
    assert settings.workers == 1
    assert not settings.secure


def test_an_empty_value_counts_as_unset(tmp_path: Path) -> None:
    assert load(tmp_path, PORT="", SHARED_URL=" ").port == 8000


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:9000"),
        ("::", "http://[::1]:9000"),
        ("::1", "http://[::1]:9000"),
        ("box.lan", "http://box.lan:9000"),
    ],
)
def test_the_public_address_can_be_opened_wherever_we_listen(
    tmp_path: Path, host: str, url: str
) -> None:
    assert load(tmp_path, HOST=host, PORT="9000").public_url == url


def test_tls_in_front_binds_cookies_to_it(tmp_path: Path) -> None:
    settings = load(tmp_path, PUBLIC_URL="https://code.example.org/")

    assert settings.public_url == "https://code.example.org"
    assert settings.secure


def test_images_are_listed_once_each(tmp_path: Path) -> None:
    assert load(tmp_path, AGENT_IMAGES="a:1, b:2,,a:1").agent_images == ("a:1", "b:2")


def test_plain_database_addresses_get_their_asynchronous_driver(tmp_path: Path) -> None:
    url = load(tmp_path, DATABASE_URL="postgresql://me:pw@db/gateway").database_url

    assert url == "postgresql+asyncpg://me:pw@db/gateway"


def test_the_shared_service_is_told_by_its_address(tmp_path: Path) -> None:
    settings = load(tmp_path, SHARED_URL="http://shared:4096", SHARED_PASSWORD="hush")

    assert settings.shared == Shared("http://shared:4096", "opencode", "hush")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", "9" * 5000),
        ("PORT", "٣"),
        ("START_TIMEOUT_S", "0"),
        ("START_TIMEOUT_S", "nan"),
        ("START_TIMEOUT_S", "soon"),
        ("WORKERS", "0"),
        ("WORKERS", "65"),
        ("WORKERS", "two"),
        ("PUBLIC_URL", "example.org"),
        ("PUBLIC_URL", "ftp://example.org"),
        ("PUBLIC_URL", "http://me:pw@example.org"),
        ("PUBLIC_URL", "http://example.org/gateway"),
        ("PUBLIC_URL", "http://example.org?x=1"),
        ("PUBLIC_URL", "http://exam ple.org"),
        ("PUBLIC_URL", "http://example.org:99999"),
        ("PUBLIC_URL", "http://["),
        ("ORCHESTRATOR_URL", "localhost:8001"),
        ("ORCHESTRATOR_PORT", "high"),
        ("SHARED_URL", "shared:4096"),
        ("DATABASE_URL", "mysql://db"),
        ("DATABASE_URL", "gateway.db"),
        ("DATABASE_URL", "sqlite:///"),
        ("AGENT_IMAGES", " , "),
        ("AGENT_IMAGES", "one image"),
        ("LOG_LEVEL", "loud"),
        ("STATE", "what?"),
    ],
)
def test_a_bad_value_is_a_sentence_naming_its_variable(
    tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        load(tmp_path, **{name: value})

    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(("port", "url"), [("9001", ":9001"), ("0", ":8001")])
def test_the_orchestrator_beside_is_found_by_its_own_setting(
    tmp_path: Path, port: str, url: str
) -> None:
    assert load(tmp_path, ORCHESTRATOR_PORT=port).orchestrator_url == f"http://127.0.0.1{url}"


def test_a_bad_database_address_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, DATABASE_URL="mysql://me:hunter2@db/gateway")

    assert "hunter2" not in str(refused.value)


@given(st.text(max_size=40), st.sampled_from(["PORT", "PUBLIC_URL", "START_TIMEOUT_S", "WORKERS"]))
def test_no_value_fails_in_another_way(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    state = tmp_path_factory.getbasetemp() / "any"
    try:
        load_settings({"STATE": str(state), name: text})
    except SettingsError as refused:
        assert name in str(refused)  # noqa: PT017 - either outcome is right, nothing else is


def test_keys_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    first, second = load(tmp_path), load(tmp_path)

    keys = tmp_path / "state" / "keys"
    assert first == second
    assert mode(keys) == 0o700
    assert {path.name: mode(path) for path in keys.iterdir()} == {
        "cookie.keys": 0o600,
        "token.keys": 0o600,
        "service.secret": 0o600,
    }


def test_two_programs_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "service.secret"
    made = iter(range(100))

    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda _: read_or_make(path, lambda: f"s{next(made)}"), range(40)))

    assert len(set(read)) == 1
    assert [p.name for p in path.parent.iterdir()] == ["service.secret"]


def test_keys_are_rotated_by_a_line_before_the_old_one(tmp_path: Path) -> None:
    old = load(tmp_path).token_keys
    new = Fernet.generate_key()
    path = tmp_path / "state" / "keys" / "token.keys"

    path.write_bytes(new + b"\n" + old[0] + b"\n")

    assert load(tmp_path).token_keys == (new, old[0])


@pytest.mark.parametrize(
    ("name", "text"),
    [("cookie.keys", ""), ("cookie.keys", "short"), ("token.keys", ""), ("token.keys", "nonsense")],
)
def test_a_spoilt_key_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    load(tmp_path)
    (tmp_path / "state" / "keys" / name).write_text(text)

    with pytest.raises(SettingsError, match=name):
        load(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(SettingsError, match="STATE"):
        load_settings({"STATE": str(tmp_path / "file")})


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("0123456789abcdef\n")

    assert load(tmp_path, SERVICE_SECRET_FILE=str(path)).service_secret == "0123456789abcdef"
    assert not (tmp_path / "state" / "keys" / "service.secret").exists()


@pytest.mark.parametrize(
    "environ",
    [
        {"SERVICE_SECRET": "short"},
        {"SERVICE_SECRET": "a secret with a\nline break"},
        {"SERVICE_SECRET_FILE": "/nowhere/secret"},
        {"SERVICE_SECRET_FILE": "/dev/null"},
        {"SERVICE_SECRET": "0123456789abcdef", "SERVICE_SECRET_FILE": "/dev/null"},
    ],
)
def test_a_missing_or_weak_service_secret_is_refused(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    with pytest.raises(SettingsError, match="SERVICE_SECRET"):
        load(tmp_path, **environ)


def test_settings_do_not_show_their_secrets(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        SERVICE_SECRET="service-secret-1234",
        SHARED_URL="http://shared:4096",
        SHARED_PASSWORD="hunter2",
        DATABASE_URL="postgresql://me:hunter2@db/gateway",
    )

    shown = repr(settings)
    assert "hunter2" not in shown
    assert "service-secret-1234" not in shown
    assert settings.cookie_keys[0].decode() not in shown
    assert settings.token_keys[0].decode() not in shown
