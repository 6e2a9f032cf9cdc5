"""This machine's address as a session's OpenCode sees it, where the scripted model is reached."""

import json
import subprocess
import sys
from ipaddress import ip_network


def host_seen_from(engine: str) -> str:
    """`engine` is docker or process: a container has a loopback of its own. Blocks."""
    if engine == "process":
        return "127.0.0.1"
    if sys.platform != "linux":
        return "host.docker.internal"
    # The engine's own network is always there, and every container reaches the machine by it.
    asked = ["docker", "network", "inspect", "bridge"]
    found = subprocess.run(asked, capture_output=True, check=True, timeout=20)  # noqa: S603
    place = json.loads(found.stdout)[0]["IPAM"]["Config"][0]
    # Not told before the first container; it is the first address then, too.
    return str(place.get("Gateway") or ip_network(place["Subnet"])[1])
