"""What an endpoint may use, in one typed place: the parts that `app` put together."""

from dataclasses import dataclass

from starlette.requests import Request

from gateway.accounts import Accounts
from gateway.changes import Changes
from gateway.conversations import Conversations
from gateway.credentials import Caller, Cookies
from gateway.directory import Directory
from gateway.metrics import Metrics
from gateway.removals import Removals
from gateway.roster import Roster
from gateway.routing import Upstream
from gateway.settings import Settings
from gateway.store import Store
from gateway.streams import Streams
from gateway.workers.bus import Bus


@dataclass(frozen=True, slots=True)
class Parts:
    """`shared` is None where no shared service is configured, `bus` where there is one worker.

    Who changes what the roster, the conversations or open streams depend on does it by `changes`,
    so that it happens in every worker.
    """

    settings: Settings
    store: Store
    roster: Roster
    changes: Changes
    removals: Removals
    cookies: Cookies
    accounts: Accounts
    directory: Directory
    conversations: Conversations
    live: Streams
    metrics: Metrics
    shared: Upstream | None
    bus: Bus | None = None


def parts(request: Request) -> Parts:
    found: Parts = request.app.state.parts
    return found


def caller(request: Request) -> Caller | None:
    """Return who is asking; the front has read the credentials already."""
    found: Caller | None = request.scope["state"].get("caller")
    return found
