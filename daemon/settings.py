"""Every POSITIOND_* name in one table: the README, `positiond config` and faults all read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PREFIX: Final = "POSITIOND_"


@dataclass(frozen=True, slots=True)
class Setting:
    """One name an operator may set; `default` is what stands in the README."""

    name: str
    default: str
    meaning: str
    is_secret: bool = False


SETTINGS: Final = (
    Setting(
        "POSITIOND_DATABASE_URL",
        "embedded Postgres",
        "`postgresql://…` of the database; unset: a Postgres of its own under the data directory",
        is_secret=True,
    ),
    Setting(
        "POSITIOND_DATA_DIR",
        "see below",
        "absolute path of the directory for `postgres/`, `seal.key`, `limits/` and locks",
    ),
    Setting("POSITIOND_HTTP_HOST", "127.0.0.1", "address the dashboard and the API listen on"),
    Setting("POSITIOND_HTTP_PORT", "8080", "their port"),
    Setting(
        "POSITIOND_PUBLIC_URL",
        "http://localhost:PORT",
        "the address users type; with https the session cookie is Secure",
    ),
    Setting(
        "POSITIOND_BEHIND_PROXY",
        "0",
        "1 states that a reverse proxy with TLS stands in front; needed to listen beyond loopback",
    ),
    Setting(
        "POSITIOND_SEAL_KEY",
        "made in the data directory",
        "32 bytes, as base64 or 64 hexadecimal digits: seals Bybit secrets in the database",
        is_secret=True,
    ),
    Setting("POSITIOND_PAPER_URL", "unset", "base URL of the paper exchange (`paper` accounts)"),
    Setting("POSITIOND_MAINNET_REST_URL", "Bybit's", "REST host of mainnet accounts"),
    Setting("POSITIOND_MAINNET_WS_URL", "Bybit's", "WebSocket host of mainnet accounts"),
    Setting("POSITIOND_TESTNET_REST_URL", "Bybit's", "REST host of testnet accounts"),
    Setting("POSITIOND_TESTNET_WS_URL", "Bybit's", "WebSocket host of testnet accounts"),
    Setting("POSITIOND_DEMO_REST_URL", "Bybit's", "REST host of Bybit demo accounts"),
    Setting("POSITIOND_DEMO_WS_URL", "Bybit's", "WebSocket host of Bybit demo accounts"),
    Setting(
        "POSITIOND_SWEEP_MINUTES",
        "5",
        "every how many minutes of the clock all accounts are compared (a divisor of 60); "
        "a position not compared for two rounds and a minute shows Unverified",
    ),
    Setting(
        "POSITIOND_CLOSE_EXPIRY",
        "900",
        "seconds after which a close request sends nothing new and ends `expired`",
    ),
    Setting(
        "POSITIOND_CLOSE_SLIPPAGE",
        "Bybit's own band",
        "percent from the best price that a close's orders may fill within (0.01 to 10), "
        "where a request names none",
    ),
    Setting(
        "POSITIOND_SPOT_FEE_TOLERANCE",
        "0.002",
        "part of a spot leg that may be short as the fee of its purchase (0 to 0.05)",
    ),
    Setting("POSITIOND_LOG_LEVEL", "info", "debug, info, warning or error"),
    Setting("POSITIOND_LOG_FORMAT", "json", "json (one object per line) or console"),
)

# Read by single verbs or by the tests, never by `serve`; listed so that they are no fault.
READ_ELSEWHERE: Final = frozenset(
    {
        "POSITIOND_SMOKE_KEY",
        "POSITIOND_SMOKE_SECRET",
        "POSITIOND_PAPER_KEY",
        "POSITIOND_PAPER_SECRET",
        "POSITIOND_BYBIT_SAMPLES",
    }
)
