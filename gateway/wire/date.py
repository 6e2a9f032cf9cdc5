"""When an answer of our own was made, as a header line (RFC 9110 §6.6.1).

Written once a second. What an upstream answered carries its own date or none; a relay adds nothing.
"""

from email.utils import formatdate
from functools import lru_cache
from time import time


def date_line() -> bytes:
    return _date_line(int(time()))


@lru_cache(maxsize=1)
def _date_line(second: int) -> bytes:
    return b"Date: %b\r\n" % formatdate(second, usegmt=True).encode()
