"""The signals that end a program of ours: Ctrl-C, a service manager's, a closed terminal's.

It does not know what ends, nor how.
"""

import signal


def ending() -> tuple[signal.Signals, ...]:
    """Return them, without SIGHUP where `nohup` has asked to outlive the terminal."""
    told = (signal.SIGINT, signal.SIGTERM)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return told
    return (*told, signal.SIGHUP)
