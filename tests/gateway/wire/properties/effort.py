"""How many examples a property is tried with, and what a failing one says of itself.

Where `CI` is set hypothesis draws the same examples each time; elsewhere it draws new ones, and a
failure prints the line that repeats it. No example has a deadline: the machine may be busy.
"""

from hypothesis import HealthCheck, settings

PURE = settings(max_examples=250, deadline=None, print_blob=True)
# A server is made once and serves all examples: that is what they are to find it fit for.
ON_SOCKETS = settings(
    max_examples=150,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
