"""Lines of `/global/event` as OpenCode 1.18.33 sent them, shortened only where `…` stands."""

import json
from typing import Any

WORKSPACE = "/workspace"
CONVERSATION = "ses_dfa619536ffe73PM7yKR5Zr90a"
PERMISSION = "per_2059ea1a9001oUsnMg21wIWriO"
QUESTION = "que_2059ece12001BPrB8gjaRLEGP3"
TERMINAL = "pty_2059ef93d001dkb2YKHqi59Ax6"
_TERMINAL_INFO = {
    "id": TERMINAL,
    "title": "Terminal 9Ax6",
    "command": "/bin/sh",
    "args": ["-l"],
    "cwd": WORKSPACE,
    "status": "running",
    "pid": 14208,
}
_TOOL = {"messageID": "msg_2059ea0f80018JR5ytR7wce0DA", "callID": "call_1"}


def line(payload: dict[str, Any], directory: str | None = WORKSPACE) -> bytes:
    """Written as JavaScript writes it: the id first, no spaces, other letters as they are."""
    place = {} if directory is None else {"directory": directory, "project": "global"}
    envelope = {**place, "payload": {"id": "evt_2059e6015001dGxIS7qHvNnz53", **payload}}
    return b"data: " + json.dumps(envelope, separators=(",", ":"), ensure_ascii=False).encode()


def sent(kind: str, directory: str | None = WORKSPACE, **properties: Any) -> bytes:
    return line({"type": kind, "properties": properties}, directory)


def status(status: dict[str, Any], conversation: str = CONVERSATION) -> bytes:
    return sent("session.status", sessionID=conversation, status=status)


CONNECTED = sent("server.connected", None)
HEARTBEAT = sent("server.heartbeat", None)
BUSY = status({"type": "busy"})
RETRY = status({"type": "retry", "attempt": 1, "message": "overloaded", "next": 1795390605091})
IDLE = status({"type": "idle"})
ENDED = sent("session.idle", sessionID=CONVERSATION)
DELTA = sent(
    "message.part.delta",
    sessionID=CONVERSATION,
    messageID="msg_2059e6f24001bhbQptfhI00BH8",
    partID="prt_2059e7246001vxnVJ13C9jgo14",
    field="text",
    delta='he wrote \u2028"type":"session.idle"',
)
PERMISSION_ASKED = sent(
    "permission.asked",
    id=PERMISSION,
    sessionID=CONVERSATION,
    permission="bash",
    patterns=["pwd"],
    metadata={"command": "pwd"},
    always=["pwd *"],
    tool=_TOOL,
)
PERMISSION_REPLIED = sent(
    "permission.replied", sessionID=CONVERSATION, requestID=PERMISSION, reply="once"
)
QUESTION_ASKED = sent(
    "question.asked",
    id=QUESTION,
    sessionID=CONVERSATION,
    questions=[{"question": "Which?", "header": "h", "options": []}],
    tool=_TOOL,
)
QUESTION_REPLIED = sent(
    "question.replied", sessionID=CONVERSATION, requestID=QUESTION, answers=[["a"]]
)
QUESTION_REJECTED = sent("question.rejected", sessionID=CONVERSATION, requestID=QUESTION)
TERMINAL_CREATED = sent("pty.created", info=_TERMINAL_INFO)
TERMINAL_UPDATED = sent("pty.updated", info={**_TERMINAL_INFO, "title": "x"})
TERMINAL_EXITED = sent("pty.exited", id=TERMINAL, exitCode=0)
TERMINAL_DELETED = sent("pty.deleted", id=TERMINAL)
SUB_AGENT_CREATED = sent(
    "session.created",
    sessionID="ses_child",
    info={"id": "ses_child", "directory": WORKSPACE, "parentID": CONVERSATION},
)
SUB_AGENT_BUSY = status({"type": "busy"}, "ses_child")
SUB_AGENT_ASKED = sent("permission.asked", id="per_child", sessionID="ses_child", permission="bash")
SUB_AGENT_IDLE = status({"type": "idle"}, "ses_child")
STEP_STARTED = sent(
    "session.next.step.started",
    sessionID=CONVERSATION,
    agent="build",
    assistantMessageID="msg_205a6466c001ZB94XIpeXOJfLX",
)
STEP_FAILED = sent(
    "session.next.step.failed",
    sessionID=CONVERSATION,
    error={"type": "unknown", "message": "HTTP transport failed"},
)
SYNC = line(
    {"type": "sync", "syncEvent": {"type": "message.updated.1", "seq": 2, "data": {"info": {}}}}
)
DISPOSED = sent("server.instance.disposed", directory=WORKSPACE)
ALL_DISPOSED = sent("global.disposed", "global")
# What a server sends that nobody uses: while it loads an instance, and when a file changes.
UNASKED = [
    CONNECTED,
    HEARTBEAT,
    SYNC,
    sent("project.updated", "global", id="global", worktree="/", sandboxes=[]),
    sent("plugin.added", id="…"),
    sent("catalog.updated"),
    sent("reference.updated"),
    sent("integration.updated"),
    sent("file.watcher.updated", file="/workspace/.git/HEAD", event="add"),
    sent("vcs.branch.updated", branch="b2"),
    DISPOSED,
    ALL_DISPOSED,
]
WORK = [
    BUSY,
    RETRY,
    IDLE,
    ENDED,
    DELTA,
    PERMISSION_ASKED,
    PERMISSION_REPLIED,
    QUESTION_ASKED,
    QUESTION_REPLIED,
    QUESTION_REJECTED,
    TERMINAL_CREATED,
    TERMINAL_UPDATED,
    TERMINAL_EXITED,
    TERMINAL_DELETED,
    SUB_AGENT_CREATED,
    SUB_AGENT_BUSY,
    SUB_AGENT_ASKED,
    SUB_AGENT_IDLE,
    STEP_STARTED,
    STEP_FAILED,
]
ENDS = [IDLE, SUB_AGENT_IDLE, TERMINAL_EXITED]
