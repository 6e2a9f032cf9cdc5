"""The document names every route there is and no other, and its schemas fit the answers."""

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import BaseRoute, Route

from gateway import api, pages
from gateway.agents import PROVIDERS
from gateway.app import create_app
from gateway.openapi import document
from gateway.settings import load_settings
from tests.support.gateway_api import agent, gateway, session

METHODS = {"get", "post", "patch", "put", "delete"}
# A page's address: only with a token does it belong to the API.
ALSO_A_PAGE = ("get", "/gateway/login")


def documented() -> set[tuple[str, str]]:
    paths = document()["paths"].items()
    return {(method, path) for path, operations in paths for method in METHODS & set(operations)}


def routed(routes: list[BaseRoute]) -> set[tuple[str, str]]:
    return {
        (method.lower(), route.path)
        for route in routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }


def test_every_route_is_documented_and_every_documented_route_is_there(tmp_path: Path) -> None:
    app = create_app(load_settings({"STATE": str(tmp_path)}))
    shown = routed(pages.routes) - {ALSO_A_PAGE}

    assert routed(app.routes) - shown == documented()


def test_the_apis_own_routes_are_all_documented() -> None:
    assert routed(api.routes) <= documented()


def test_every_reference_leads_somewhere() -> None:
    text = document()
    for reference in re.findall(r"'\$ref': '([^']+)'", str(text)):
        found: Any = text
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert found


def test_every_schema_is_used() -> None:
    text = str(document())

    assert [name for name in document()["components"]["schemas"] if f"/{name}'" not in text] == []


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("Agents", "/api/agents"),
        ("Agent", "/api/agents/{agent}"),
        ("Sessions", "/api/sessions"),
        ("Session", "/api/sessions/{session}"),
        ("Me", "/gateway/me"),
        ("Health", "/gateway/health"),
    ],
)
async def test_an_answer_holds_what_its_schema_says_and_no_more(
    tmp_path: Path, schema: str, path: str
) -> None:
    async with gateway(tmp_path) as served, served.logged_in("alice") as client:
        made = await session(client)
        answer = await client.get(path.format(agent=made["agent_id"], session=made["id"]))

    shape = document()["components"]["schemas"][schema]
    assert set(shape["required"]) <= set(answer.json()) <= set(shape["properties"])


async def test_new_things_hold_what_their_schemas_say(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served, served.logged_in("alice") as client:
        new_agent = await agent(client)
        new_session = await session(client, agent_id=new_agent["id"])

    schemas = document()["components"]["schemas"]
    assert set(new_agent) == set(schemas["Agent"]["properties"])
    assert set(schemas["NewSession"]["required"]) == set(new_session)


async def test_the_document_is_served_without_a_login(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served, served.client() as client:
        answer = await client.get("/gateway/openapi.json")

    assert answer.json() == document()


def test_the_document_names_the_providers_there_are() -> None:
    wish = document()["components"]["schemas"]["NewAgent"]["properties"]

    assert tuple(wish["provider"]["enum"]) == PROVIDERS
