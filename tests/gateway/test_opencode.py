"""What is told apart by method and path, also where the path is written in another way."""

import pytest

from gateway import opencode

# OpenCode 1.18 takes each of these for `/pty` or `/file`; asked of the real server.
DISGUISES = [b"/pty", b"//pty", b"/%70ty", b"/PTY", b"/pty/", b"/pty;x", b"/fil%65", b"///FILE/"]


@pytest.mark.parametrize(
    ("method", "path", "public"),
    [
        (b"OPTIONS", b"/anything", True),
        (b"GET", b"/site.webmanifest", True),
        (b"HEAD", b"/site.webmanifest", False),
        (b"GET", b"/site.webmanifest/", False),
        (b"GET", b"/", False),
        (b"GET", b"/session", False),
    ],
)
def test_public_is_what_opencode_serves_to_anybody(
    method: bytes, path: bytes, public: bool
) -> None:
    assert opencode.is_public(method, path) is public


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (b"/pty/pty_1/connect", ("pty_1", "connect")),
        (b"/api/pty/pty_1/connect-token", ("pty_1", "connect-token")),
        (b"/pty/pty_1", None),
        (b"/pty/pty_1/connect/x", None),
        (b"/x/pty/pty_1/connect", None),
    ],
)
def test_terminal_is_known_by_its_two_paths(path: bytes, found: tuple[str, str] | None) -> None:
    assert opencode.terminal(path) == found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (b"/session/ses_abc", "ses_abc"),
        (b"/session/ses_abc/message", "ses_abc"),
        (b"/api/session/ses_abc/", "ses_abc"),
        (b"/session/ses%5Fabc", "ses_abc"),
        (b"/session/%73es_abc/message", "ses_abc"),
        (b"/session//ses_abc", "ses_abc"),
        (b"/session/ses_abc;x/message", "ses_abc"),
        (b"/session/ses_abc%20", "ses_abc "),
        (b"/session/ses_\xff", "ses_\xff"),
        (b"/permission/per_1/reply", "per_1"),
        (b"/pty/pty_1/connect", "pty_1"),
        (b"/session", None),
        (b"/sesame/sess_1", None),
        (b"/session/xses_1", None),
    ],
)
def test_what_exists_on_one_upstream_only_is_found_in_the_path(
    path: bytes, found: str | None
) -> None:
    assert opencode.bound_id(path) == found


@pytest.mark.parametrize(
    "path", [b"/L3dvcmtzcGFjZQ/session/ses_1", b"/server/aHR0cDovLzEyNy4w/session/ses_1"]
)
def test_the_web_uis_own_addresses_are_bound_to_nothing(path: bytes) -> None:
    assert opencode.bound_id(path) is None


@pytest.mark.parametrize(
    ("method", "path", "creates"),
    [
        (b"POST", b"/session", True),
        (b"POST", b"/api/session", True),
        (b"POST", b"/session/", True),
        (b"POST", b"/session/ses_1/fork", True),
        (b"GET", b"/session", False),
        (b"POST", b"/session/ses_1/message", False),
    ],
)
def test_conversations_are_created_at_known_paths(
    method: bytes, path: bytes, creates: bool
) -> None:
    assert opencode.creates_conversation(method, path) is creates


@pytest.mark.parametrize("path", [b"/", b"/session", b"/session/x/message", b"/event", b"/config"])
def test_reading_and_talking_may_go_to_the_shared_service(path: bytes) -> None:
    assert opencode.allowed_on_shared(b"GET", path)


@pytest.mark.parametrize("path", [*DISGUISES, *(b"/api" + path for path in DISGUISES)])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_terminals_and_files_never_go_to_the_shared_service(method: bytes, path: bytes) -> None:
    assert not opencode.allowed_on_shared(method, path)


@pytest.mark.parametrize(
    "path",
    [
        b"/pty/x%0Ay",
        b"/find/file",
        b"/fs/x",
        b"/instance/dispose",
        b"/tui/append-prompt",
        b"/global/dispose",
        b"/GLOBAL/upgrade",
        b"/auth/anthropic",
        b"/session/ses_1/shell",
        b"/session/ses_1/share;x",
        b"/session/x%3By/shell",
        b"/x/../pty",
        b"/x/%2e%2e/session",
        b"/config/..",
        b"/./pty",
    ],
)
def test_what_acts_on_everybody_never_goes_to_the_shared_service(path: bytes) -> None:
    assert not opencode.allowed_on_shared(b"POST", path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (b"POST", b"/session"),
        (b"POST", b"/session/ses_1/message"),
        (b"POST", b"/session/ses_1/prompt_async"),
        (b"POST", b"/session/ses_1/abort"),
        (b"POST", b"/api/session/ses_1/prompt"),
        (b"POST", b"/permission/per_1/reply"),
        (b"PATCH", b"/session/ses_1"),
        (b"DELETE", b"/session/ses_1"),
    ],
)
def test_talk_may_be_written_on_the_shared_service(method: bytes, path: bytes) -> None:
    assert opencode.allowed_on_shared(method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (b"POST", b"/session/ses_1/command"),
        (b"POST", b"/session/ses_1/init"),
        (b"PATCH", b"/project/global"),
        (b"POST", b"/project/git/init"),
        (b"POST", b"/provider/x/oauth/authorize"),
        (b"POST", b"/api/integration/x/connect/key"),
        (b"DELETE", b"/api/credential/x"),
        (b"DELETE", b"/api/permission/saved/x"),
        (b"PUT", b"/auth/x"),
        (b"POST", b"/experimental/workspace"),
        (b"POST", b"/a/path/of/a/later/version"),
    ],
)
def test_anything_else_is_not_written_there(method: bytes, path: bytes) -> None:
    assert not opencode.allowed_on_shared(method, path)


@pytest.mark.parametrize("path", [b"/config", b"/api/config", b"/Config/", b"/mcp", b"/vcs"])
def test_settings_of_the_shared_service_may_be_read_but_not_changed(path: bytes) -> None:
    assert opencode.allowed_on_shared(b"PATCH", path) is False


@pytest.mark.parametrize("path", [b"/config", b"/global/config", b"/mcp", b"/experimental/tool"])
def test_settings_of_the_shared_service_may_be_read(path: bytes) -> None:
    assert opencode.allowed_on_shared(b"GET", path)


@pytest.mark.parametrize(
    "path",
    [
        b"/event",
        b"/global/event",
        b"/api/event",
        b"/api/session/ses_1/event",
        b"/tui/control/next",
        b"/global/health",
        b"/api/health",
        b"/global/health/",
    ],
)
def test_what_stays_open_by_itself_is_quiet(path: bytes) -> None:
    assert opencode.is_quiet(path)


@pytest.mark.parametrize(
    "path",
    [
        b"/session/ses_1/message",
        b"/events",
        b"/x/event",
        b"/api/session/a/b/event",
        b"/tui/control",
    ],
)
def test_anything_else_in_flight_is_work(path: bytes) -> None:
    assert not opencode.is_quiet(path)
