"""From a request to the upstream it deserves: real sockets, a scripted orchestrator."""

import asyncio
import json
import logging
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.accounts import new_id
from gateway.news import LoginEnded
from gateway.roster import Login
from tests.support.front import Gateway, RawOpenCode, gateway, ok
from tests.support.waiting import until


@pytest.fixture
async def gw(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path) as running:
        yield running


async def _is_kept(gw: Gateway, conversation_id: str) -> bool:
    return (conversation_id, gw.session_id) in await gw.parts.store.shared_conversations()


def _field(head: bytes, name: bytes) -> list[bytes]:
    lines = head.split(b"\r\n")
    return [line.partition(b": ")[2] for line in lines if line.lower().startswith(name + b":")]


async def test_cookie_leads_to_the_sessions_own_container(gw: Gateway) -> None:
    status, headers, body = await gw.ask("/session")

    assert (status, body) == (200, b'"container"')
    assert headers["x-opencode-gateway-route"] == "session"


@pytest.mark.parametrize("form", ["basic", "bearer", "query"])
async def test_access_token_leads_there_too(gw: Gateway, form: str) -> None:
    pair = b64encode(f"anyone:{gw.token}".encode()).decode()
    lines = {
        "basic": f"Authorization: Basic {pair}\r\n",
        "bearer": f"Authorization: Bearer {gw.token}\r\n",
    }
    path = f"/path?a=1&auth_token={pair}&b=2" if form == "query" else "/path?a=1&b=2"

    status, _, body = await gw.ask(path, who=lines.get(form, ""))

    assert (status, body) == (200, b'"container"')
    assert gw.container.heads[0].startswith(b"GET /path?a=1&b=2 HTTP/1.1\r\n")


@pytest.mark.behaviour(17)
async def test_container_sees_its_own_password_and_none_of_our_credentials(gw: Gateway) -> None:
    await gw.ask("/path", who=f"Cookie: a=1; {gw.cookie}; b=2\r\nX_Forwarded_For: 1.2.3.4\r\n")

    head = gw.container.heads[0]
    assert _field(head, b"authorization") == [b"Basic " + b64encode(b"opencode:inner")]
    assert _field(head, b"cookie") == [b"a=1; b=2"]
    assert _field(head, b"host") == [b"gw.example"]
    assert _field(head, b"x-forwarded-for") == [b"127.0.0.1"]
    assert _field(head, b"x-forwarded-proto") == [b"http"]
    assert b"1.2.3.4" not in head


@pytest.mark.parametrize(
    "proof",
    ["", "Cookie: opencode-gateway=forged\r\n", "Authorization: Bearer nobody\r\n",
     "Authorization: Basic eDp5\r\n"],
)  # fmt: skip
async def test_wrong_or_no_credentials_reach_nobody(gw: Gateway, proof: str) -> None:
    status, headers, body = await gw.ask("/session", who=proof)

    assert status == 401
    assert headers["www-authenticate"].startswith("Basic ")
    assert json.loads(body)["data"]["code"] == "authentication_required"
    assert gw.container.heads == gw.shared.heads == []


async def test_cookie_that_must_be_looked_up_still_comes_before_basic(gw: Gateway) -> None:
    """Made by another gateway a moment ago, and naming no session yet."""
    store = gw.parts.store
    (user,) = await store.users()
    login = Login(new_id(), user.id, time.time() + 60)
    await store.add_login(login)
    cookie = gw.parts.cookies.set_header(login.id, None).partition(";")[0]
    pair = b64encode(f"anyone:{gw.token}".encode()).decode()
    both = f"Cookie: {cookie}\r\nAuthorization: Basic {pair}\r\n"

    answers = [await gw.ask("/session", who=both) for _ in range(2)]

    assert [status for status, _, _ in answers] == [409, 409]


async def test_nobodys_page_load_is_sent_to_the_login(gw: Gateway) -> None:
    status, headers, _ = await gw.ask("/a?b=c", who="", Accept="text/html")

    assert (status, headers["location"]) == (303, "/gateway/login?next=%2Fa%3Fb%3Dc")


async def test_login_without_a_session_is_told_to_start_one(gw: Gateway) -> None:
    status, _, body = await gw.ask("/session", who=f"Cookie: {gw.bare_cookie}\r\n")

    assert (status, json.loads(body)["data"]["code"]) == (409, "session_required")


async def test_what_opencode_serves_to_anybody_is_served(gw: Gateway) -> None:
    status, headers, body = await gw.ask("/site.webmanifest", who="")

    assert (status, body) == (200, b'"shared"')
    assert headers["x-opencode-gateway-route"] == "shared; reason=public"


async def test_first_requests_are_held_and_join_one_start(gw: Gateway) -> None:
    gw.orchestrator.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(gw.ask("/session")) for _ in range(20)]
        await gw.orchestrator.asked.wait()
        gw.orchestrator.may_answer.set()

    assert gw.orchestrator.ensures == 1
    assert {task.result()[2] for task in asked} == {b'"container"'}


async def test_health_is_answered_while_the_start_takes_its_time(gw: Gateway) -> None:
    gw.orchestrator.may_answer.clear()

    status, headers, body = await gw.ask("/global/health")
    gw.orchestrator.may_answer.set()

    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["healthy"] is True


async def test_page_load_shows_how_the_start_goes(gw: Gateway) -> None:
    gw.orchestrator.may_answer.clear()

    status, headers, _ = await gw.ask("/", Accept="text/html")
    gw.orchestrator.may_answer.set()

    assert (status, headers["content-type"]) == (503, "text/html; charset=utf-8")


async def test_container_that_fails_is_replaced_by_the_shared_service(
    gw: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    gw.orchestrator.ready_at = None
    with caplog.at_level(logging.WARNING):
        status, headers, body = await gw.ask("/config")

    assert (status, body) == (200, b'"shared"')
    assert headers["x-opencode-gateway-route"] == "shared; reason=container_failed"
    assert "reason=container_failed" in caplog.text
    assert b'fallbacks_total{reason="container_failed"} 1.0' in gw.parts.metrics.render()


async def test_conversation_of_the_container_is_asked_of_nobody_else(gw: Gateway) -> None:
    gw.orchestrator.ready_at = None

    status, headers, body = await gw.ask("/session/ses_abc/message", method="POST")

    assert status == 503
    assert "retry-after" in headers
    assert json.loads(body)["data"]["code"] == "conversation_unavailable"
    assert gw.shared.heads == []


async def test_container_comes_back_though_only_its_own_conversations_are_asked_for(
    gw: Gateway,
) -> None:
    gw.orchestrator.retry_after_s = 0.05
    gw.orchestrator.ready_at = None
    await gw.ask("/session/ses_abc/message")
    gw.orchestrator.ready_at = gw.container.port

    async def is_back() -> bool:
        return (await gw.ask("/session/ses_abc/message"))[0] == 200

    await until(is_back, "the container answers again")


@pytest.mark.parametrize(
    "code", ["container_stopped", "image_not_allowed", "invalid_request", "session_removing"]
)
async def test_start_refused_for_what_somebody_must_mend_is_told_and_not_served_elsewhere(
    gw: Gateway, code: str
) -> None:
    gw.orchestrator.refusal = code

    _, headers, body = await gw.ask("/config")

    assert json.loads(body)["data"] == {"code": code, "message": "Mend this."}
    assert headers["x-opencode-gateway-route"] == "session"
    assert gw.shared.heads == []


async def test_terminal_is_never_opened_on_the_shared_service(gw: Gateway) -> None:
    gw.orchestrator.ready_at = None

    status, _, body = await gw.ask("/pty", method="POST")

    assert (status, json.loads(body)["data"]["code"]) == (503, "not_on_shared")
    assert gw.shared.heads == []


async def test_conversation_created_on_the_shared_service_stays_there(gw: Gateway) -> None:
    gw.orchestrator.ready_at = None
    gw.shared.answer = ok(b'{"id":"ses_shared1"}')
    await gw.ask("/session", method="POST")
    gw.orchestrator.ready_at = gw.container.port
    await gw.parts.directory.ensure(gw.session_id, force=True)

    _, headers, _ = await gw.ask("/session/ses_shared1/message")
    _, own, _ = await gw.ask("/session")

    assert headers["x-opencode-gateway-route"] == "shared; reason=conversation"
    assert own["x-opencode-gateway-route"] == "session"
    await until(lambda: _is_kept(gw, "ses_shared1"), "the conversation is in the store")


async def test_another_sessions_shared_conversation_is_not_reached(gw: Gateway) -> None:
    gw.parts.conversations.note("ses_foreign", "somebody-else")
    gw.orchestrator.ready_at = None

    status, _, _ = await gw.ask("/session/ses_foreign/message")

    assert status == 503
    assert gw.shared.heads == []


async def test_without_a_shared_service_the_failure_is_told(tmp_path: Path) -> None:
    async with gateway(tmp_path, shared=False) as gw:
        gw.orchestrator.ready_at = None

        status, headers, body = await gw.ask("/config")

    assert (status, json.loads(body)["data"]["code"]) == (503, "container_unavailable")
    assert "retry-after" in headers


@pytest.mark.behaviour(61)
async def test_container_that_refuses_connections_is_started_again(gw: Gateway) -> None:
    await gw.ask("/session")
    gw.container.stop()
    gw.container.hang_up()
    replacement = RawOpenCode(ok(b'"started again"'))
    await replacement.start()
    gw.orchestrator.ready_at = replacement.port

    _, headers, body = await gw.ask("/session")
    replacement.stop()

    assert (headers["x-opencode-gateway-route"], body) == ("session", b'"started again"')
    assert gw.orchestrator.verifies == 1


@pytest.mark.behaviour(64)
async def test_post_that_got_no_answer_is_not_sent_again(gw: Gateway) -> None:
    await gw.ask("/session")
    gw.container.dies = True

    status, headers, _ = await gw.ask("/session", method="POST")

    assert status == 502
    assert headers["x-opencode-gateway-route"] == "session"
    assert len([head for head in gw.container.heads if head.startswith(b"POST")]) == 1
    assert gw.shared.heads == []


async def test_signing_out_ends_open_streams(gw: Gateway) -> None:
    gw.container.answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
    async with AsyncExitStack() as stack:
        stream = await gw.open("/event", stack)
        await stream.until(b"data: 1\n\n")
        login_id = gw.parts.cookies.read((gw.cookie.encode(),))
        assert login_id is not None

        gw.parts.live.close_login(login_id[0])

        assert b"0\r\n\r\n" not in await stream.rest()


async def test_signing_out_ends_what_still_waits_for_a_start(gw: Gateway) -> None:
    gw.orchestrator.may_answer.clear()
    async with AsyncExitStack() as stack:
        held = await gw.open("/session", stack)
        await gw.orchestrator.asked.wait()
        login = gw.parts.cookies.read((gw.cookie.encode(),))
        assert login is not None

        gw.parts.changes.make(LoginEnded(login[0]))

        assert (await held.head()).startswith(b"HTTP/1.1 401 Unauthorized\r\n")
        await held.rest()
        gw.orchestrator.may_answer.set()
    assert gw.container.heads == []


async def test_event_stream_of_the_shared_service_ends_when_the_container_is_back(
    gw: Gateway,
) -> None:
    gw.orchestrator.ready_at = None
    gw.shared.answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
    async with AsyncExitStack() as stack:
        stream = await gw.open("/global/event", stack)
        await stream.until(b"data: 1\n\n")
        gw.orchestrator.ready_at = gw.container.port

        await gw.parts.directory.ensure(gw.session_id, force=True)

        await stream.rest()


async def test_foreign_pages_cannot_use_the_cookie_for_a_websocket(gw: Gateway) -> None:
    status, _, body = await gw.ask(
        "/pty/pty_1/connect", Origin="https://evil.example", Upgrade="websocket"
    )
    handshake = (
        f"GET /pty/pty_1/connect HTTP/1.1\r\nHost: gw.example\r\nCookie: {gw.cookie}\r\n"
        "Origin: https://evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
    writer.write(handshake.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()

    assert head.startswith(b"HTTP/1.1 403 ")
    assert [h for h in gw.container.heads if b"evil" in h and b"Upgrade" in h] == []
    assert status == 200
    assert body == b'"container"'


async def test_own_cookie_cannot_be_set_by_a_container(gw: Gateway) -> None:
    gw.container.answer = (
        b"HTTP/1.1 204 No Content\r\nSet-Cookie: opencode-gateway=x\r\nSet-Cookie: a=b\r\n\r\n"
    )

    _, headers, _ = await gw.ask("/session")

    assert headers["set-cookie"] == "a=b"


async def test_opencodes_singular_paths_are_opencodes(gw: Gateway) -> None:
    _, headers, _ = await gw.ask("/api/session")

    assert headers["x-opencode-gateway-route"] == "session"


async def test_signing_out_is_answered_on_the_connection_it_ends(gw: Gateway) -> None:
    status, headers, _ = await gw.ask(
        "/gateway/logout", method="POST", Content_Type="application/json"
    )

    assert status == 204
    assert "max-age=0" in headers["set-cookie"].lower()


async def test_deleting_the_session_that_the_cookie_names_is_answered(gw: Gateway) -> None:
    status, _, _ = await gw.ask(f"/api/sessions/{gw.session_id}", method="DELETE")

    assert status == 204
    assert gw.parts.roster.session(gw.session_id) is None


@pytest.mark.parametrize(
    ("by_token", "expected"),
    [(False, (409, "session_removing")), (True, (401, "authentication_required"))],
)
async def test_request_that_waits_for_a_session_that_is_deleted_is_told_so(
    gw: Gateway, by_token: bool, expected: tuple[int, str]
) -> None:
    gw.orchestrator.may_answer.clear()
    who = f"Authorization: Bearer {gw.token}\r\n" if by_token else None
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(gw.ask("/session", who=who))
        await gw.orchestrator.asked.wait()
        deleted = await gw.ask(f"/api/sessions/{gw.session_id}", method="DELETE")
        assert deleted[0] == 204
        status, _, body = await waits
    gw.orchestrator.may_answer.set()

    assert (status, json.loads(body)["data"]["code"]) == expected
