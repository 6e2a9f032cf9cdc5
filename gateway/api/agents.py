"""A user's agents: list, create, read, change, delete. Tokens come in and never go out."""

from starlette.requests import Request
from starlette.responses import Response

from gateway import agents
from gateway.api import callers
from gateway.api.answers import answer, done
from gateway.api.bodies import read_nothing, read_object
from gateway.news import AgentMade, AgentRemoved
from gateway.parts import parts
from gateway.store import Agent


async def list_all(request: Request) -> Response:
    caller, _ = callers.logged_in(request)
    found = await parts(request).store.agents_of(caller.user_id)
    return answer({"agents": [agents.to_json(agent) for agent in found]})


async def create(request: Request) -> Response:
    caller, _ = callers.logged_in(request)
    wish = await read_object(request)
    p = parts(request)
    images = p.settings.agent_images
    agent = await agents.create_agent(p.store, p.accounts, images, caller.user_id, wish)
    p.changes.make(AgentMade(agent.user_id, agent.id))
    return answer(agents.to_json(agent), 201)


async def get(request: Request) -> Response:
    return answer(agents.to_json(await _owned(request)))


async def change(request: Request) -> Response:
    agent = await _owned(request)
    wish = await read_object(request)
    p = parts(request)
    changed = await agents.change_agent(p.store, p.accounts, p.settings.agent_images, agent, wish)
    return answer(agents.to_json(changed))


async def delete(request: Request) -> Response:
    agent = await _owned(request)
    await read_nothing(request)
    await parts(request).store.remove_agent(agent.id)
    parts(request).changes.make(AgentRemoved(agent.user_id, agent.id))
    return done()


async def _owned(request: Request) -> Agent:
    caller, _ = callers.logged_in(request)
    agent_id: str = request.path_params["agent_id"]
    return await agents.owned_agent(parts(request).store, caller.user_id, agent_id)
