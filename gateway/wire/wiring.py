"""What all client connections of one gateway share, and the times and sizes they are held to."""

import sys
from dataclasses import dataclass, field

from gateway.wire.deadlines import Deadlines
from gateway.wire.door import Door
from gateway.wire.live import Live
from gateway.wire.quota import Quota
from gateway.wire.request_head import Blocks, HeadLimits
from gateway.wire.tasks import Tasks


@dataclass(slots=True)
class Drain:
    """Whether the shutdown has begun: a connection may still come out of the kernel's hands."""

    begun: bool = False


@dataclass(frozen=True, slots=True)
class Wiring:
    """What all connections of a gateway share. Times in seconds.

    `addresses` counts connections by their peer's; a relayed request's body has at most
    `body_bytes`; of what a client sends ahead of its turn, `early_bytes` are read.
    """

    door: Door
    tasks: Tasks = field(default_factory=Tasks)
    live: Live = field(default_factory=Live)
    deadlines: Deadlines = field(default_factory=Deadlines)
    limits: HeadLimits = field(default_factory=HeadLimits)
    blocks: Blocks = field(default_factory=Blocks)
    addresses: Quota = field(default_factory=Quota)
    drain: Drain = field(default_factory=Drain)
    body_bytes: int = sys.maxsize
    early_bytes: int = 64 * 1024
    head_s: float = 10.0
    idle_s: float = 75.0
    own_body_s: float = 30.0
    last_request_s: float = 1.0
    drain_s: float = 6.0
