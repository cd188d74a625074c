"""The limits of one network address, over real sockets."""

import aiohttp
from positiond.bybit.paper.server import PaperServer

from .client import Client

TIME = "/v5/market/time"


async def test_the_request_above_the_limit_is_403_until_pardoned(
    http: aiohttp.ClientSession,
) -> None:
    async with PaperServer(address_limit=5) as paper:
        client = Client(http, paper, paper.add_account("alice"))
        statuses = []
        for _ in range(7):
            async with http.get(paper.url + TIME) as reply:
                statuses.append(reply.status)
        assert statuses == [200] * 5 + [403] * 2
        await client.control("POST", "pardon")
        assert (await client.get("/v5/account/info"))["retCode"] == 0


async def test_control_is_no_request_of_the_venue_s(http: aiohttp.ClientSession) -> None:
    async with PaperServer(address_limit=1) as paper:
        client = Client(http, paper, paper.add_account("alice"))
        for _ in range(3):
            assert (await client.control("GET", "accounts"))["status"] == 200


async def test_the_limits_do_not_hold_where_time_moves_by_steps(
    http: aiohttp.ClientSession,
) -> None:
    async with PaperServer(clock="manual", address_limit=1) as paper:
        for _ in range(3):
            async with http.get(paper.url + TIME) as reply:
                assert reply.status == 200


async def test_the_traffic_of_an_address_is_told(http: aiohttp.ClientSession) -> None:
    async with PaperServer(address_limit=5) as paper:
        client = Client(http, paper, paper.add_account("alice"))
        for _ in range(6):
            async with http.get(paper.url + TIME):
                pass
        (told,) = (await client.control("GET", "traffic"))["addresses"].values()
        assert told["requests"]["peak"] == 6
        assert sum(count for _, count in told["requests"]["series"]) == 6
        assert (told["refused"], told["streams"]["total"]) == (1, 0)
