"""`make demo`: a whole deployment with a scripted model, a user, an agent and a session in it.

A newcomer chats in the browser with no key and no network. What is made here is made by the same
rules as a person's own, and found again at the next start.
"""

import json
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio.to_thread
import uvicorn

from demo.host import host_seen_from
from demo.scripted_model import MODEL, ScriptedModel
from gateway import administration
from gateway.agents import change_agent
from gateway.cli import told, up
from gateway.cli.deployment import Deployment
from gateway.cli.environment import environment
from gateway.cli.serving import bind, serving
from gateway.errors import GatewayError
from gateway.roster import User

_USERNAME = "demo"


@dataclass(frozen=True, slots=True)
class Demo:
    """The scripted model, where it listens, and the key that opens it."""

    listener: socket.socket
    key: str = field(repr=False)

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    @asynccontextmanager
    async def link(self, running: Deployment) -> AsyncIterator[str]:
        """Serve the model while the deployment runs; yield the link into the demo's session."""
        model = ScriptedModel(self.key)
        config = uvicorn.Config(
            model.app, ws="none", access_log=False, log_config=None, timeout_graceful_shutdown=1
        )
        async with serving(config, self.listener):
            host = await anyio.to_thread.run_sync(host_seen_from, running.engine)
            user = await _user(running)
            await self._make_session(running, user, f"http://{host}:{self.port}/v1")
            yield await up.link_for(running, user)

    async def _make_session(self, running: Deployment, user: User, base_url: str) -> None:
        """The agent is the demo's own: the model's key and port are new at each start."""
        store, accounts = running.parts.store, running.parts.accounts
        wish = {
            "name": "Scripted model",
            "provider": "openai-compatible",
            "model": MODEL,
            "base_url": base_url,
            "token": self.key,
        }
        images = running.parts.settings.agent_images
        for agent in await store.agents_of(user.id):
            if agent.name == wish["name"]:
                await change_agent(store, accounts, images, agent, wish)
                return
        agent = await administration.create_agent(store, accounts, images, user, wish)
        await administration.create_session(store, user, agent.id, "Try me")


async def _user(running: Deployment) -> User:
    try:
        return await administration.find_user(running.parts.store, _USERNAME)
    except GatewayError:
        return await administration.create_user(running.parts.store, _USERNAME)


def shared_environment(key: str, port: int, engine: str) -> Mapping[str, str]:
    """The shared service's configuration: it, too, answers with the scripted model. Blocks."""
    base_url = f"http://{host_seen_from(engine)}:{port}/v1"
    config = {
        "model": f"scripted/{MODEL}",
        "small_model": f"scripted/{MODEL}",
        "enabled_providers": ["scripted"],
        "share": "disabled",
        "provider": {
            "scripted": {
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": base_url, "apiKey": "{env:DEMO_KEY}"},
                "models": {MODEL: {"tool_call": True}},
            }
        },
    }
    return {"OPENCODE_CONFIG_CONTENT": json.dumps(config), "DEMO_KEY": key}


def main() -> int:
    # On every address, since containers come by their network's; the key is what keeps it closed.
    listener = bind("0.0.0.0", 0, "")  # noqa: S104
    demo = Demo(listener, secrets.token_urlsafe(32))
    shared = partial(shared_environment, demo.key, demo.port)
    return told(lambda: up.run(environment(), demo.link, shared))


if __name__ == "__main__":
    sys.exit(main())
