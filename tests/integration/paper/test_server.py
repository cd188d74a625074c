"""The server as a whole: TLS, a clean stop, failures that come out, books found again."""

import asyncio
import ssl
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from positiond.bybit.paper.control import is_loopback
from positiond.bybit.paper.server import PaperOptions, PaperServer, run_paper

from .client import Client


def certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "cert.pem", directory / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


async def test_it_serves_tls_and_stops_when_cancelled(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    cert, key = certificate(tmp_path)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    options = PaperOptions(port=0, key="k", secret="s", tls_cert=cert, tls_key=key)
    task = asyncio.create_task(run_paper(options, ready.set_result))
    url = await asyncio.wait_for(ready, 5)
    assert url.startswith("https://127.0.0.1:")
    trust = ssl.create_default_context(cafile=str(cert))
    async with http.get(f"{url}/v5/market/time", ssl=trust) as response:
        assert (await response.json())["retCode"] == 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


async def test_a_stop_does_not_wait_for_open_streams(http: aiohttp.ClientSession) -> None:
    async with AsyncExitStack() as running:
        paper = await running.enter_async_context(PaperServer(seed=1))
        socket = await http.ws_connect(f"{paper.url}/v5/private")
        async with asyncio.timeout(1.5):
            await running.aclose()
        message = await socket.receive()
    assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_an_error_inside_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with PaperServer(seed=1):
            _ = 1 / 0


async def test_books_are_found_again_and_fresh_forgets_them(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with PaperServer(seed=1, data_dir=tmp_path) as paper:
        account = paper.add_account("alice")
        paper.trade(account, "BTCUSDT", "Buy", "0.5")
    async with PaperServer(seed=1, data_dir=tmp_path) as paper:
        alice = Client(http, paper, account)
        body = await alice.get("/v5/position/list", "category=linear&symbol=BTCUSDT")
        assert body["result"]["list"][0]["size"] == "0.5"
        assert paper.add_account("bob").uid != account.uid
    async with PaperServer(seed=1, data_dir=tmp_path, fresh=True) as paper:
        alice = Client(http, paper, account)
        assert (await alice.get("/v5/account/info"))["retCode"] == 10003


@pytest.mark.parametrize(
    ("remote", "good"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("10.0.0.5", False),
        ("fe80::1", False),
        ("", False),
        (None, False),
    ],
)
def test_control_is_for_loopback_alone(remote: str | None, good: bool) -> None:
    assert is_loopback(remote) is good
