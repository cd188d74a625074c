"""Signatures against vectors that two other clients agree on."""

from __future__ import annotations

import json

import pytest
from positiond.bybit.signing import Signer
from positiond.daemon.domain.errors import CredentialsRefused
from positiond.daemon.domain.model import Credentials

SIGNER = Signer(Credentials("XXXXXXXXXX0000demo", "s3cr3t-for-test-vectors-only-0001"))
STAMP = 1760000000000
ORDER = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "side": "Sell",
    "orderType": "Market",
    "qty": "0.003",
    "reduceOnly": True,
    "positionIdx": 0,
    "orderLinkId": "sp-7f3a-leg0-c1",
}


@pytest.mark.parametrize(
    ("tail", "signature"),
    [
        (
            "category=linear&settleCoin=USDT&limit=200",
            "72bc59e65f7d70b8ee3bb427cc3ed6556f0060fcf39e6345c5aaaca00f572d13",
        ),
        (
            "category=linear&limit=200&settleCoin=USDT",
            "79a5db63e9240c4c61a25abc08545ac0bb5f300115d5b621805b14bebbc8fe9a",
        ),
        ("", "9ffcfd6c80fe66c594f995551711cc7077c29e201d58b54cfe99cc66af247502"),
        (
            "category=linear&limit=50&cursor=132766%3A2%2C132766%3A2",
            "b7d3b23fe4be8e4a7c63e38297b480884fa012f4cbc3820620e51bffa3772de4",
        ),
        (
            json.dumps(ORDER, separators=(",", ":")),
            "7ffdbb26142c73917ba5d4550591d244f69d55c3ffe32526029cc074f8752758",
        ),
        (
            json.dumps(ORDER),
            "4fe74da4a651060d121e43f7b729322de8986adeef8f72c50519e18919070815",
        ),
    ],
)
def test_a_tail_is_signed_as_the_vectors_say(tail: str, signature: str) -> None:
    headers = SIGNER.headers(tail.encode(), STAMP)
    assert headers["X-BAPI-SIGN"] == signature
    assert headers["X-BAPI-TIMESTAMP"] == "1760000000000"
    assert headers["X-BAPI-RECV-WINDOW"] == "5000"
    assert headers["X-BAPI-API-KEY"] == "XXXXXXXXXX0000demo"


def test_the_stream_is_signed_as_the_vector_says() -> None:
    assert (
        SIGNER.stream_signature(1760000010000)
        == "05766609388fe0b40c12627144fd053e979a12f9078393306f786fa6db7c0531"
    )


def test_a_secret_never_shows_in_a_repr() -> None:
    assert "s3cr3t" not in repr(SIGNER)


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "schlüssel"])
def test_a_key_that_cannot_stand_in_a_header_is_refused(key: str) -> None:
    with pytest.raises(CredentialsRefused):
        Signer(Credentials(key, "secret")).headers(b"", STAMP)
