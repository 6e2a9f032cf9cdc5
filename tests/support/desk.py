"""A person at work: signed in, with an agent of the scripted model's and a session.

What a client presents for the session, and OpenCode's own calls in it. A desk is not started by
being made: the session's container starts with its first request.
"""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.deployment import Deployment, Person
from tests.support.scripted_model import Model

OWN = "session"  # the route of what a session's own container answered
_ROUTE = "X-OpenCode-Gateway-Route"


@dataclass(frozen=True, slots=True)
class Desk:
    base_url: str
    person: Person
    session_id: str
    access_token: str

    @property
    def http(self) -> httpx.AsyncClient:  # noqa: TID251 - the browser of this person
        return self.person.http

    @property
    def container(self) -> str:
        return f"agent_{self.session_id}"

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())

    async def own(self, method: str, path: str, **content: Any) -> Any:
        """Ask the session's own OpenCode; returns the JSON of its answer."""
        answer = await self.http.request(method, path, **content)
        assert route(answer) == OWN, f"{answer.status_code} {route(answer)} {answer.text[:500]}"
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def conversation(self, title: str) -> str:
        made = await self.own("POST", "/session", json={"title": title})
        return str(made["id"])

    async def chat(self, prompt: str, **wish: Any) -> str:
        """Have a prompt answered by the session's own OpenCode."""
        path = f"/api/sessions/{self.session_id}/chat"
        answer = await self.http.post(path, json={"prompt": prompt, **wish})
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["route"] == OWN
        text: str = told["message"]["text"]
        return text


async def seated(running: Deployment, model: Model, username: str, **wish: Any) -> Desk:
    """A new user with an agent, which `wish` may change, and a session."""
    person = await running.person(username)
    await person.agent({**model.wish, **wish})
    session = await person.session()
    return Desk(running.base_url, person, session["id"], session["access_token"])


def route(answer: httpx.Response) -> str | None:
    """Where an answer came from, as it says itself."""
    told: str | None = answer.headers.get(_ROUTE)
    return told
