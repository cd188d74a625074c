"""What `/_paper/` tells about itself, and to whom."""

import json

from positiond.bybit.paper.operations import OPERATIONS

from .client import Client


async def test_the_document_and_the_page_show_every_operation(alice: Client) -> None:
    async with alice.http.get(alice.paper.url + "/_paper/openapi.json") as reply:
        document = json.loads(await reply.read())
    async with alice.http.get(alice.paper.url + "/_paper/docs") as reply:
        page = await reply.text()
    assert document["openapi"].startswith("3.1")
    for operation in OPERATIONS:
        shown = document["paths"][f"/_paper/{operation.name}"][operation.verb.lower()]
        names = {p["name"] for p in shown.get("parameters", ())}
        body = shown.get("requestBody", {}).get("content", {}).get("application/json", {})
        names |= set(body.get("schema", {}).get("properties", ()))
        assert names == {field.name for field in operation.fields}
        assert f"{operation.verb} /_paper/{operation.name}<" in page
    assert "http://" not in page
    assert "https://" not in page


async def test_an_unknown_field_and_a_missing_one_are_named(alice: Client) -> None:
    answer = await alice.control("POST", "price", symbol="BTCUSDT", mark="1", typo=1)
    assert (answer["status"], answer["error"]) == (400, "unknown field typo")
    answer = await alice.control("POST", "price", symbol="BTCUSDT")
    assert (answer["status"], answer["error"]) == (400, "mark is missing")


async def test_a_page_of_another_site_cannot_reach_the_control(alice: Client) -> None:
    url = alice.paper.url + "/_paper/accounts"
    for headers in ({"Origin": "https://elsewhere.example"}, {"Host": "elsewhere.example"}):
        async with alice.http.get(url, headers=headers) as reply:
            assert reply.status == 403
    async with alice.http.get(url, headers={"Origin": alice.paper.url}) as reply:
        assert reply.status == 200
