"""What holds for every test: a call that blocks the event loop fails it.

Where an engine, the real OpenCode or Chromium is missing, the fixtures in `support` say so.
"""

import signal
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

# Read before anything is served, or by a driver while it connects.
_MAY_BLOCK = {
    "gateway/keys.py": "read_or_make",
    "gateway/settings.py": "load_settings",
    "orchestrator/settings.py": "load_settings",
    "asyncpg/connect_utils.py": "_parse_connect_arguments",
    "sqlalchemy/dialects/sqlite/pysqlite.py": "create_connect_args",
}


@pytest.fixture
def terminal() -> Iterator[None]:
    """Have what is started here end with its terminal, also where `nohup` runs the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(autouse=True)
def _no_blocking_call_on_the_loop() -> Iterator[None]:
    with blockbuster_ctx(scanned_modules=["gateway", "orchestrator"]) as buster:
        for function in buster.functions.values():
            for file, name in _MAY_BLOCK.items():
                function.can_block_in(file, {name})
        yield
