"""Whether the shared service answers: found out before it is first relied on, and after it failed.

A port that accepts is not a server that answers: Docker's port proxy accepts for a container that
still boots, and a request that is passed on then may hear nothing for minutes. It is asked for its
health, once for all who wait. It knows no request and decides no route.
"""

import asyncio
import logging

import httpx

from gateway.settings import Shared
from gateway.wire.tasks import Tasks

logger = logging.getLogger(__name__)

# Who waits here has waited for a container before; a shared service that boots takes 3 s.
_PATIENCE_S = 10.0
_ONE_TRY_S = 2.0
_PAUSE_S = 0.2


class SharedReadiness:
    def __init__(self, shared: Shared, tasks: Tasks) -> None:
        self.answers = False
        self._shared = shared
        self._tasks = tasks
        self._looking: asyncio.Future[bool] | None = None

    def doubt(self) -> None:
        """It gave no answer: the next one who needs it looks first."""
        self.answers = False

    async def look(self) -> bool:
        """Return whether it answers, waiting a while for one that boots."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_future()
            self._tasks.start(self._look(self._looking), "look at the shared service")
        return await asyncio.shield(self._looking)

    async def _look(self, told: asyncio.Future[bool]) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                self.answers = await self._ask_until_told()
        except TimeoutError:
            logger.warning("the shared service accepts connections and does not answer")
        finally:
            self._looking = None
            told.set_result(self.answers)

    async def _ask_until_told(self) -> bool:
        url = f"{self._shared.url}/global/health"
        credential = (self._shared.username, self._shared.password or "")
        async with httpx.AsyncClient(  # noqa: TID251 - one for one look
            auth=credential, timeout=_ONE_TRY_S, trust_env=False
        ) as client:
            while True:
                try:
                    async with client.stream("GET", url):
                        return True
                except httpx.ConnectError:
                    return False
                except httpx.TransportError:
                    await asyncio.sleep(_PAUSE_S)
