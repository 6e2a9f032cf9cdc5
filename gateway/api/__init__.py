"""The gateway's own API: JSON in, JSON out, one line here for each thing that may be asked.

Endpoints read the request, call the rules in `gateway.agents`, `gateway.sessions` and
`gateway.logins`, and write the answer. Pages, the chat and the metrics are elsewhere.
"""

from starlette.routing import BaseRoute, Route

from gateway.api import agents, health, logins, sessions
from gateway.api.failures import exception_handlers

__all__ = ["exception_handlers", "routes"]

routes: list[BaseRoute] = [
    Route("/gateway/login", logins.log_in, methods=["POST"]),
    Route("/gateway/logout", logins.log_out, methods=["POST"]),
    Route("/gateway/me", logins.me),
    Route("/gateway/health", health.health),
    Route("/gateway/openapi.json", health.openapi),
    Route("/api/agents", agents.list_all),
    Route("/api/agents", agents.create, methods=["POST"]),
    Route("/api/agents/{agent_id}", agents.get),
    Route("/api/agents/{agent_id}", agents.change, methods=["PATCH"]),
    Route("/api/agents/{agent_id}", agents.delete, methods=["DELETE"]),
    Route("/api/sessions", sessions.list_all),
    Route("/api/sessions", sessions.create, methods=["POST"]),
    Route("/api/sessions/{session_id}", sessions.get),
    Route("/api/sessions/{session_id}", sessions.delete, methods=["DELETE"]),
    Route("/api/sessions/{session_id}/activate", sessions.activate, methods=["POST"]),
    Route("/api/sessions/{session_id}/start", sessions.start, methods=["POST"]),
    Route("/api/sessions/{session_id}/stop", sessions.stop, methods=["POST"]),
    Route("/api/sessions/{session_id}/keep-awake", sessions.keep_awake, methods=["POST"]),
]
