"""The shapes of the gateway's API in JSON Schema: what comes in, what goes out.

Data only; limits are those of the rules that check them, which tests compare with real answers.
"""

from collections.abc import Sequence
from typing import Any

from gateway.agents import LONGEST_TOKEN, PROVIDERS

_Json = dict[str, Any]


def _object(required: Sequence[str], **properties: _Json) -> _Json:
    return {"type": "object", "required": list(required), "properties": properties}


def _closed(required: Sequence[str], **properties: _Json) -> _Json:
    return {**_object(required, **properties), "additionalProperties": False}


def _list(schema: str) -> _Json:
    return {"type": "array", "items": _ref(schema)}


def _ref(schema: str) -> _Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def _text(most: int, **more: Any) -> _Json:
    return {"type": "string", "maxLength": most, **more}


def _or_null(schema: _Json) -> _Json:
    return {"anyOf": [schema, {"type": "null"}]}


_TIMINGS = ("queue_s", "create_s", "boot_s", "ready_s")
_ID: _Json = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_STRING: _Json = {"type": "string"}
_TIME: _Json = {"type": "string", "format": "date-time"}
_BOOLEAN: _Json = {"type": "boolean"}

_LIMITS = _closed(
    [],
    memory_bytes={"type": "integer", "minimum": 2**28, "maximum": 2**40},
    cpus={"type": "number", "minimum": 0.1, "maximum": 256},
    pids={"type": "integer", "minimum": 64, "maximum": 4_194_304},
)

_AGENT_WISH: _Json = {
    "name": _text(100, minLength=1),
    "provider": {"type": "string", "enum": list(PROVIDERS)},
    "token": _text(LONGEST_TOKEN, minLength=1, writeOnly=True),
    "model": _or_null(_text(200)),
    "base_url": _or_null(_text(2000, format="uri")),
    "image": _or_null(_text(300)),
    "limits": _or_null(_ref("Limits")),
}

_SESSION: _Json = {
    "id": _ID,
    "agent_id": _ID,
    "title": _text(200),
    "state": {
        "type": "string",
        "enum": ["new", "starting", "ready", "frozen", "stopped", "failed"],
    },
    "why": {**_STRING, "description": "What happened last and what comes next, in words."},
    "container": _STRING,
    "base_url": {**_STRING, "description": "Where to point any OpenCode client."},
    "created_at": _TIME,
    "since": {**_TIME, "description": "How long it has been in this state."},
    "next": {
        **_or_null(_ref("Next")),
        "description": "What happens by itself if nothing else does.",
    },
    "idle_since": {**_or_null(_TIME), "description": "Since when nothing has run in it."},
    "busy": {
        "type": "array",
        "items": _STRING,
        "description": "What keeps it from being frozen or stopped, in words.",
    },
    "awake_until": {**_or_null(_TIME), "description": "Until when it is kept awake."},
    "queue": {
        **_or_null(_ref("Queue")),
        "description": "Its place among those that wait for a start.",
    },
    "timings": _ref("Timings"),
    "memory_bytes": {**_or_null({"type": "integer"}), "description": "What it uses now."},
    "phase": {
        "type": "string",
        "enum": ["queued", "creating", "booting", "checking", "stopping", "removing"],
        "description": "How far a start has come, or that an end is under way.",
    },
    "problem": {"type": "string", "description": "The code of the failure that `why` tells."},
    "open_path": {
        "type": "string",
        "description": "Where OpenCode's web UI shows the workspace, while it is ready.",
    },
    "retry_after_s": {"type": "number", "description": "When it may start again by itself."},
}
_SOMETIMES = ("open_path", "phase", "problem", "retry_after_s")
_ALWAYS = [name for name in _SESSION if name not in _SOMETIMES]

SCHEMAS: dict[str, _Json] = {
    "Error": _object(
        ["name", "data"],
        name=_STRING,
        data=_object(["message", "code"], message=_STRING, code=_STRING, field=_STRING),
    ),
    "Login": _closed(["username", "password"], username=_text(64), password=_text(1024)),
    "User": _object(
        ["id", "username", "role"],
        id=_ID,
        username=_STRING,
        role={"type": "string", "enum": ["administrator", "user"]},
    ),
    "Me": _object(["user", "session"], user=_ref("User"), session=_or_null(_ref("Session"))),
    "Health": _object(
        ["healthy", "version"],
        healthy=_BOOLEAN,
        version=_STRING,
        why=_STRING,
        orchestrator=_object(["connected"], connected=_BOOLEAN),
        shared=_object(["configured"], configured=_BOOLEAN),
    ),
    "Document": {"type": "object"},
    "Limits": _LIMITS,
    "NewAgent": _closed(["name", "provider", "token"], **_AGENT_WISH),
    "AgentChange": _closed([], **_AGENT_WISH),
    "Agent": _object(
        ["id", "name", "provider", "model", "base_url", "image", "limits", "token_hint"],
        **{name: shape for name, shape in _AGENT_WISH.items() if name not in ("token", "limits")},
        id=_ID,
        limits=_ref("Limits"),
        token_hint={**_STRING, "description": "The last four characters of a long token."},
        created_at=_TIME,
    ),
    "Agents": _object(["agents"], agents=_list("Agent")),
    "SessionWish": _closed(
        [],
        agent_id={**_or_null(_ID), "description": "Needed if you have several agents."},
        title=_or_null(_text(200)),
    ),
    "Next": _object(
        ["action", "at", "in_s"],
        action={"type": "string", "enum": ["freeze", "stop", "remove", "start"]},
        at=_TIME,
        in_s={"type": "number"},
    ),
    "Queue": _object(["place", "of"], place={"type": "integer"}, of={"type": "integer"}),
    "Timings": {
        **_object(_TIMINGS, **{name: _or_null({"type": "number"}) for name in _TIMINGS}),
        "description": (
            "Of its last start: waiting for its turn, making the container, starting OpenCode, "
            "and the whole of it."
        ),
    },
    "AwakeWish": _closed(
        ["for_s"],
        for_s={
            "anyOf": [{"type": "number", "minimum": 60, "maximum": 86_400}, {"const": 0}],
            "description": "How long from now; 0 ends it.",
        },
    ),
    "Session": _object(_ALWAYS, **_SESSION),
    "NewSession": _object(
        [*_ALWAYS, "access_token"],
        **_SESSION,
        access_token={**_STRING, "description": "Shown this once; the Basic password."},
    ),
    "Sessions": _object(["sessions"], sessions=_list("Session")),
    "Prompt": _object(["prompt"], prompt=_STRING, conversation_id=_or_null(_STRING)),
    "Reply": _object(
        ["session_id", "conversation_id", "message", "route"],
        session_id=_ID,
        conversation_id=_STRING,
        message=_object(["id", "text"], id=_STRING, text=_STRING),
        route=_STRING,
    ),
}

PARAMETERS: dict[str, _Json] = {
    name: {"name": name, "in": "path", "required": True, "schema": _ID}
    for name in ("agent_id", "session_id")
}
