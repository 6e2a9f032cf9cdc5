"""A deployment in use by people at random, while its parts are killed at random.

Everything comes of one seed, so that what was done can be done again, though never at the same
moment. What people were told is counted, and what may not happen to them fails at once.
"""

import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import anyio
import anyio.to_thread
import httpx

from tests.support.agreement import mark
from tests.support.desk import OWN, Desk, route
from tests.support.engine import docker
from tests.support.services import Services
from tests.support.waiting import until

# What a person may be told while parts are killed; every other failure is a defect.
_EXCUSES = frozenset(
    {
        *("container_failed", "container_stopped", "container_unavailable", "crash_loop"),
        *("conversation_unavailable", "engine_unavailable", "orchestrator_failed", "no_room"),
        *("orchestrator_unavailable", "session_removing", "standby", "start_queued"),
        *("start_timeout", "upstream_failed"),
    }
)
_ANSWERED_WITHIN_S = 110
_RESTS_S = 4.0
_LONGEST_WAIT_S = 5.0
_PROMPTS = ("hello", "run: echo found", "stream for 2 seconds")


@dataclass(slots=True)
class Person:
    """Who works at a desk; `kept` are the conversations they must find again."""

    desk: Desk
    kept: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Soak:
    """`told` counts what was done and what came of it."""

    both: Services
    random: Random
    people: list[Person]
    told: Counter[str] = field(default_factory=Counter)
    over: bool = False

    async def run(self, for_s: float) -> None:
        """Have everybody at work, and somebody who kills, for so long."""
        async with anyio.create_task_group() as group:
            for person in self.people:
                group.start_soon(self._work, person)
            group.start_soon(self._kill)
            group.start_soon(self._report, for_s)
            await anyio.sleep(for_s)
            self.over = True

    async def find_everything(self) -> None:
        """Nobody kills any more: every session answers, with all that was ever in it."""
        for person in self.people:
            await until(partial(self._prompted, person), "an answer", within_s=240)
            for conversation_id in person.kept:
                found = await person.desk.own("GET", f"/session/{conversation_id}")
                assert found["id"] == conversation_id

    async def leave(self) -> None:
        for person in self.people:
            path = f"/api/sessions/{person.desk.session_id}"
            assert (await person.desk.http.delete(path)).status_code == 204
            await person.desk.http.aclose()

    async def _work(self, person: Person) -> None:
        doings: list[Callable[[Person], Awaitable[object]]]
        doings = [self._prompted, self._prompted, self._talk, self._rest, self._rest, self._stop]
        doings += [self._remake, self._wake]
        while not self.over:
            doing = self.random.choice(doings)
            with anyio.fail_after(_ANSWERED_WITHIN_S):
                await doing(person)

    async def _prompted(self, person: Person) -> bool:
        path = f"/api/sessions/{person.desk.session_id}/chat"
        prompt = self.random.choice(_PROMPTS)
        answer = await self._asked(person, "POST", path, "prompted", json={"prompt": prompt})
        return answer is not None

    async def _talk(self, person: Person) -> None:
        """Begin a conversation that must be found again at the end."""
        answer = await self._asked(person, "POST", "/session", "begun", json={"title": "kept"})
        if answer is not None and route(answer) == OWN:
            person.kept.append(answer.json()["id"])

    async def _wake(self, person: Person) -> None:
        await self._asked(person, "GET", "/session", "looked")

    async def _rest(self, _: Person) -> None:
        """Long enough to be frozen, or stopped, or removed."""
        await anyio.sleep(self.random.uniform(0, 2 * _RESTS_S))

    async def _stop(self, person: Person) -> None:
        path = f"/api/sessions/{person.desk.session_id}/stop"
        await self._asked(person, "POST", path, "stopped")

    async def _remake(self, person: Person) -> None:
        """Delete the session and take a new one, with nothing in it."""
        path = f"/api/sessions/{person.desk.session_id}"
        if await self._asked(person, "DELETE", path, "deleted") is None:
            return
        made = await person.desk.person.session()
        desk = person.desk
        person.desk = Desk(desk.base_url, desk.person, made["id"], made["access_token"])
        person.kept = []

    async def _asked(
        self, person: Person, method: str, path: str, done: str, **content: object
    ) -> httpx.Response | None:
        """The answer, unless it is one of those that can be excused."""
        try:
            answer = await person.desk.http.request(method, path, **content)  # type: ignore[arg-type]
        except httpx.RemoteProtocolError:  # its container was killed in the middle of an answer
            self.told["cut off"] += 1
            return None
        if answer.status_code < 400:
            self.told[done] += 1
            return answer
        code = answer.json()["data"]["code"] if "data" in answer.json() else ""
        assert code in _EXCUSES, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        self.told[code] += 1
        if code == "crash_loop":  # nothing but a person starts it again
            await person.desk.http.post(f"/api/sessions/{person.desk.session_id}/start")
        await anyio.sleep(min(_LONGEST_WAIT_S, float(answer.headers.get("Retry-After", "0"))))
        return None

    async def _kill(self) -> None:
        while not self.over:
            await anyio.sleep(self.random.uniform(1, 6))
            if self.over:
                return
            await self.random.choice([self._kill_container] * 3 + [self._kill_orchestrator])()

    async def _kill_container(self) -> None:
        """Any of ours, a spare or somebody's, by any way there is."""
        ours = await anyio.to_thread.run_sync(mark, Path(self.both.environ["STATE"]))
        found = (await _ask("ps", "-a", "--filter", ours, "--format", "{{.Names}}")).split()
        if found:
            way = self.random.choice([("kill",), ("rm", "-f"), ("pause",), ("stop", "-t", "1")])
            await _ask(*way, self.random.choice(sorted(found)))
            self.told[f"container {way[0]}"] += 1

    async def _kill_orchestrator(self) -> None:
        await self.both.end("orchestrator", signal.SIGKILL)
        await anyio.sleep(self.random.uniform(0, 2))
        await self.both.start("orchestrator")
        self.told["orchestrator killed"] += 1

    async def _report(self, for_s: float) -> None:
        began = anyio.current_time()
        while not self.over:
            await anyio.sleep(min(10.0, for_s / 6))
            told = ", ".join(f"{what} {count}" for what, count in sorted(self.told.items()))
            print(f"soak {anyio.current_time() - began:.0f}/{for_s:.0f} s: {told}", flush=True)


async def _ask(*arguments: str) -> str:
    return await anyio.to_thread.run_sync(lambda: docker(*arguments, check=False))
