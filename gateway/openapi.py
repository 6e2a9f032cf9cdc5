"""The description of the gateway's own API, for people and for generators of clients.

Paths and what they answer; the shapes are in `gateway.openapi_schemas`. A test holds it to the
routes that there really are, in both directions.
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from gateway.openapi_schemas import PARAMETERS, SCHEMAS

VERSION = version("opencode-gateway")  # looked up once: it is read from files

_Json = dict[str, Any]


def document() -> _Json:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OpenCode Gateway",
            "version": VERSION,
            "description": (
                "The gateway's own API. Every other path is OpenCode's, served by the session's "
                "own container. Errors have OpenCode's shape; `data.code` tells them apart: "
                "429 is a limit of the caller's own, 503 is everybody's, and `Retry-After` says "
                "when to come back."
            ),
        },
        "paths": _paths(),
        "components": {
            "schemas": SCHEMAS,
            "parameters": PARAMETERS,
            "responses": {"Error": _answer("A failure, with a sentence and a code", "Error")},
            "securitySchemes": {
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "opencode-gateway",
                    "description": "Behind TLS its name begins with __Host-.",
                },
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Any user name; the password is a session's access token.",
                },
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _paths() -> _Json:
    return {
        "/gateway/login": {
            "post": _operation("Log in", "open", {204: "Logged in; the cookie is set"}, "Login"),
            "get": {
                **_operation("Follow a one-time link", "open", {303: "Logged in; to the pages"}),
                "parameters": [{"name": "token", "in": "query", "schema": {"type": "string"}}],
            },
        },
        "/gateway/logout": {
            "post": _operation("Log out", "open", {204: "Login ended, its open streams closed"})
        },
        "/gateway/me": {"get": _operation("Who am I", "token", {200: "Me"})},
        "/gateway/health": {
            "get": _operation("Does the gateway serve", "open", {200: "Health", 503: "Health"})
        },
        "/gateway/openapi.json": {"get": _operation("This document", "open", {200: "Document"})},
        "/gateway/metrics": {"get": _operation("Metrics", "open", {200: "Prometheus text"})},
        "/api/agents": {
            "get": _operation("List my agents", "login", {200: "Agents"}),
            "post": _operation("Create an agent", "login", {201: "Agent"}, "NewAgent"),
        },
        "/api/agents/{agent_id}": {
            "parameters": [_parameter("agent_id")],
            "get": _operation("Read an agent", "login", {200: "Agent"}),
            "patch": {
                **_operation("Change an agent", "login", {200: "Agent"}, "AgentChange"),
                "description": (
                    "Changes what is named and keeps the rest; null clears an optional field. "
                    "A container that runs keeps what it was started with: the change takes "
                    "effect when it is next started."
                ),
            },
            "delete": _operation("Delete an agent that no session uses", "login", {204: "Gone"}),
        },
        **_session_paths(),
    }


def _session_paths() -> _Json:
    one = [_parameter("session_id")]
    return {
        "/api/sessions": {
            "get": _operation("List my sessions", "login", {200: "Sessions"}),
            "post": {
                **_operation("Create a session", "login", {201: "NewSession"}, "SessionWish"),
                "description": "The cookie names it from then on; its container starts when used.",
            },
        },
        "/api/sessions/{session_id}": {
            "parameters": one,
            "get": _operation("Read a session", "token", {200: "Session"}),
            "delete": _operation(
                "Delete a session", "login", {204: "Container, volume and session are gone"}
            ),
        },
        **_deeds(one),
    }


def _deeds(one: list[_Json]) -> _Json:
    """Return what can be done with one session."""
    return {
        "/api/sessions/{session_id}/activate": {
            "parameters": one,
            "post": _operation("Make it current", "login", {204: "The cookie names it now"}),
        },
        "/api/sessions/{session_id}/start": {
            "parameters": one,
            "post": _operation("Start its container", "token", {202: "Session"}),
        },
        "/api/sessions/{session_id}/stop": {
            "parameters": one,
            "post": {
                **_operation("Stop its container", "token", {202: "Session"}),
                "description": (
                    "A turn that runs is waited for; meanwhile the phase is `stopping`. "
                    "The answer does not wait for the end."
                ),
            },
        },
        "/api/sessions/{session_id}/keep-awake": {
            "parameters": one,
            "post": _operation("Keep its container awake", "token", {200: "Session"}, "AwakeWish"),
        },
        "/api/sessions/{session_id}/chat": {
            "parameters": one,
            "post": {
                **_operation("Prompt its agent", "token", {200: "Reply"}, "Prompt"),
                "description": (
                    "With `Accept: text/event-stream` the answer comes as the events `delta`, "
                    "`done` and `error`."
                ),
            },
        },
    }


_SECURITY: Mapping[str, list[dict[str, list[str]]]] = {
    "open": [],
    "login": [{"cookie": []}],
    "token": [{"cookie": []}, {"basic": []}, {"bearer": []}],
}


def _operation(
    summary: str, security: str, answers: Mapping[int, str], body: str | None = None
) -> _Json:
    """`answers` are schemas by name, or a sentence where there is no JSON body."""
    operation: _Json = {
        "summary": summary,
        "security": _SECURITY[security],
        "responses": {
            **{str(status): _answer(told, told) for status, told in answers.items()},
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": _json(body)}
    return operation


def _answer(description: str, schema: str) -> _Json:
    if schema not in SCHEMAS:
        return {"description": description}
    return {"description": description, "content": _json(schema)}


def _json(schema: str) -> _Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _parameter(name: str) -> _Json:
    return {"$ref": f"#/components/parameters/{name}"}
