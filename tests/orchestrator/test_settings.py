"""What an operator may set, and the sentence for each value that can't be."""

import os
import stat
import sys
from pathlib import Path

import pytest

from orchestrator.admission import Allowance
from orchestrator.containers import Limits
from orchestrator.ladder import Policy
from orchestrator.settings import SettingsError, load_settings
from orchestrator.terms import Rules, Wish

LONG = "a-secret-of-sixteen-or-more"


def test_without_any_setting_everything_has_a_value(tmp_path: Path) -> None:
    settings = load_settings({"STATE": str(tmp_path)})

    assert (settings.host, settings.port, settings.engine) == ("127.0.0.1", 8001, "auto")
    assert settings.database_url == f"sqlite+aiosqlite:///{tmp_path}/orchestrator.db"
    assert (settings.network, settings.start_timeout_s) == ("opencode-network", 60)
    assert settings.reach == ("ip" if sys.platform == "linux" else "port")
    assert settings.limits == Limits(2 << 30, 1.0, 512)
    assert settings.agent_images == ("opencode-gateway-agent:1.18.33",)


def test_without_any_setting_a_containers_life_is_as_described(tmp_path: Path) -> None:
    terms = load_settings({"STATE": str(tmp_path)}).terms

    assert terms.rules == Rules(Policy(300, 7200, 0, 14400), 30, 1536 << 20)
    assert terms.allowance == Allowance(0, 0, 0, 0, 512 << 20)
    assert terms.spares == Wish(1, "opencode-gateway-agent:1.18.33", Limits(2 << 30, 1.0, 512))
    assert terms.starts_at_once == max(2, os.cpu_count() or 1)


def test_every_rule_of_a_containers_life_can_be_set(tmp_path: Path) -> None:
    given = {
        "FREEZE_AFTER_S": "1.5",
        "STOP_AFTER_S": "2",
        "REMOVE_AFTER_S": "3",
        "ASK_WAIT_S": "4",
        "DRAIN_S": "5",
        "RECYCLE_ABOVE_MB": "6",
        "MAX_CONTAINERS": "7",
        "MAX_CONTAINERS_PER_USER": "8",
        "MEMORY_TOTAL_BYTES": "9",
        "MEMORY_PER_USER_BYTES": "10",
        "MEMORY_RESERVE_BYTES": "11",
        "POOL_SIZE": "12",
        "START_CONCURRENCY": "13",
        "AGENT_IMAGES": "one,two",
    }
    terms = load_settings({"STATE": str(tmp_path), **given}).terms

    assert terms.rules == Rules(Policy(1.5, 2, 3, 4), 5, 6 << 20)
    assert terms.allowance == Allowance(7, 8, 9, 10, 11)
    assert (terms.spares.size, terms.spares.image, terms.starts_at_once) == (12, "one", 13)


def test_secrets_are_made_once_for_their_owner_alone_and_never_shown(tmp_path: Path) -> None:
    first = load_settings({"STATE": str(tmp_path)})
    second = load_settings({"STATE": str(tmp_path)})

    assert (first.service_secret, first.key) == (second.service_secret, second.key)
    for name in ("service.secret", "orchestrator.key"):
        assert stat.S_IMODE((tmp_path / "keys" / name).stat().st_mode) == 0o600
    assert first.service_secret not in repr(first)
    assert first.key.decode() not in repr(first)


def test_the_service_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{LONG}\n")
    file = str(tmp_path / "secret")

    settings = load_settings({"STATE": str(tmp_path), "SERVICE_SECRET_FILE": file})
    assert settings.service_secret == LONG


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STATE", "a?b"),
        ("STATE", "/proc/nothing/here"),
        ("ORCHESTRATOR_PORT", "65536"),
        ("ORCHESTRATOR_PORT", "eighty"),
        ("ORCHESTRATOR_DATABASE_URL", "mysql://u:hunter2@h/n"),
        ("ORCHESTRATOR_DATABASE_URL", "sqlite://"),
        ("SERVICE_SECRET", "short"),
        ("SERVICE_SECRET", "sixteen characters\nand a line"),
        ("SERVICE_SECRET_FILE", "/nowhere/at/all"),
        ("ENGINE", "podman"),
        ("REACH", "magic"),
        ("NETWORK", "two words"),
        ("OPENCODE_BIN", "/nowhere/opencode"),
        ("AGENT_IMAGES", ","),
        ("AGENT_IMAGES", "two words"),
        ("START_TIMEOUT_S", "0"),
        ("START_TIMEOUT_S", "nan"),
        ("LOG_LEVEL", "LOUD"),
        ("MEMORY_BYTES", "1"),
        ("CPUS", "-1"),
        ("PIDS", "1.5"),
        ("FREEZE_AFTER_S", "-1"),
        ("STOP_AFTER_S", "soon"),
        ("REMOVE_AFTER_S", "inf"),
        ("ASK_WAIT_S", "1e99"),
        ("DRAIN_S", "3601"),
        ("RECYCLE_ABOVE_MB", "1.5"),
        ("MAX_CONTAINERS", "-1"),
        ("MAX_CONTAINERS_PER_USER", "many"),
        ("MEMORY_TOTAL_BYTES", "2g"),
        ("MEMORY_PER_USER_BYTES", "-1"),
        ("MEMORY_RESERVE_BYTES", "0x10"),
        ("POOL_SIZE", "1025"),
        ("START_CONCURRENCY", "0"),
    ],
)
def test_a_bad_value_is_a_sentence_that_names_its_variable(
    tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"STATE": str(tmp_path), name: value})

    sentence = str(caught.value)
    assert name in sentence or "service secret" in sentence
    assert sentence.endswith(".")
    assert "hunter2" not in sentence


def test_two_places_for_one_secret_are_one_too_many(tmp_path: Path) -> None:
    both = {"SERVICE_SECRET": LONG, "SERVICE_SECRET_FILE": "x", "STATE": str(tmp_path)}
    with pytest.raises(SettingsError, match="not both"):
        load_settings(both)


def test_an_emptied_key_is_not_silently_made_anew(tmp_path: Path) -> None:
    load_settings({"STATE": str(tmp_path)})
    (tmp_path / "keys" / "orchestrator.key").write_text("")

    with pytest.raises(SettingsError, match="Put the old key back"):
        load_settings({"STATE": str(tmp_path)})


def test_dockers_own_variables_are_handed_on(tmp_path: Path) -> None:
    given = {"STATE": str(tmp_path), "DOCKER_HOST": "unix:///x", "HOME": "/root"}

    assert load_settings(given).docker == {"DOCKER_HOST": "unix:///x"}
