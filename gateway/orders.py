"""What the orchestrator is told to run for a session: whose it is, its agent with token and limits.

Read afresh at each start, so that a changed agent takes effect at the next one. The token is in
clear only inside the order.
"""

from typing import Any

from gateway.accounts import Accounts
from gateway.errors import GatewayError
from gateway.store import Store


class Orders:
    def __init__(self, store: Store, accounts: Accounts) -> None:
        self._store = store
        self._accounts = accounts

    async def order(self, session_id: str) -> dict[str, Any]:
        """Return the body of an ensure; `session_not_found` if there is nothing to run."""
        session = await self._store.session(session_id)
        agent = await self._store.agent(session.agent_id) if session else None
        if session is None or agent is None:
            raise GatewayError("session_not_found", "There is no such session.")
        return {
            "session_id": session_id,
            "user_id": session.user_id,
            "agent": {
                "id": agent.id,
                "provider": agent.provider,
                "model": agent.model,
                "base_url": agent.base_url,
                "image": agent.image,
            },
            "token": self._accounts.unseal(agent.sealed_token),
            "limits": dict(agent.limits),
        }
