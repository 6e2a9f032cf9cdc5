"""What survives a restart: users, links, logins, agents, sessions, shared conversations.

The only SQL of the gateway. Callers get frozen rows and GatewayErrors; they see no table, no
statement and no driver. Nothing here is asked while bytes are relayed.
"""

from gateway.store.rows import Account, Agent
from gateway.store.store import Store

__all__ = ["Account", "Agent", "Store"]
