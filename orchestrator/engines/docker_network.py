"""The one network that a deployment's containers share, made when it is first needed. Blocks."""

from typing import Any

from orchestrator.engines.docker_json import MANAGED
from orchestrator.engines.docker_line import Client, Refused


def network(client: Client, name: str) -> Any:
    return _elder(_networks(client, name) or _made(client, name))


def _networks(client: Client, name: str) -> list[Any]:
    return [each for each in client.networks(names=[name]) if each["Name"] == name]


def _elder(networks: list[Any]) -> Any:
    return min(networks, key=lambda each: (each["Created"], each["Id"]))


def _made(client: Client, name: str) -> list[Any]:
    """Make the network. Docker lets two who ask at the same time both make it, and would refuse the
    name as ambiguous from then on: the elder stays."""
    try:
        made = client.create_network(name, labels={MANAGED: "true"}, check_duplicate=True)
    except Refused:
        there = _networks(client, name)  # somebody was faster
        if not there:
            raise
        return there
    there = _networks(client, name)
    if _elder(there)["Id"] != made["Id"]:
        client.remove_network(made["Id"])
    return there
