"""What a sample of the gateway's process is counted as."""

import pytest

from benchmarks.request_parts import part

_SEND = """
\tffffffff81a2 __local_bh_enable_ip ([kernel.kallsyms])
\tffffffff81b3 tcp_sendmsg ([kernel.kallsyms])
\t    7f22d1c4 __write (/usr/lib/x86_64-linux-gnu/libc.so.6)
"""


@pytest.mark.parametrize(
    ("stack", "counted"),
    [
        (_SEND, "kernel: sending"),
        ("\tffff vfs_write ([kernel.kallsyms])\n", "kernel: all else"),
        ("\t7f22 _PyEval (/usr/lib/libpython3.11.so.1.0)\n", "Python, running our code"),
        ("\t7f22 _PyEval (/opt/python/bin/python3.13)\n", "Python, running our code"),
        ("\t7f22 [unknown] (/x/lib/python3.11/uvloop/loop.cpython-311.so)\n", "uvloop"),
        ("\t7f22 memmove (/usr/lib/x86_64-linux-gnu/libc.so.6)\n", "C libraries"),
    ],
)
def test_a_sample_is_counted_by_its_innermost_function(stack: str, counted: str) -> None:
    assert part(stack) == counted
