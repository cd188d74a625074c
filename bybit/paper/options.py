"""Options of `positiond paper`."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .addresses import REQUESTS
from .listing import default_listing
from .replay import Recording, ReplayError

KEY_ENV = "POSITIOND_PAPER_KEY"
SECRET_ENV = "POSITIOND_PAPER_SECRET"
DEFAULT_PORT = 8765
TAKEN = (
    "host",
    "port",
    "seed",
    "speed",
    "clock",
    "data",
    "fresh",
    "link_rule",
    "address_limit",
    "replay",
    "tls_cert",
    "tls_key",
)


class OptionError(ValueError):
    """A faulty option, in one line for the user."""


@dataclass(frozen=True, slots=True)
class PaperOptions:
    """What the exchange is started with. Key and secret open nothing but this exchange."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    key: str = ""
    secret: str = field(default="", repr=False)
    seed: int = 1
    speed: float = 1.0
    clock: str = "auto"
    data: Path | None = None
    fresh: bool = False
    link_rule: str = "day"
    address_limit: int = REQUESTS
    replay: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    @classmethod
    def of(
        cls, arguments: argparse.Namespace, environ: Mapping[str, str] = os.environ
    ) -> "PaperOptions":
        """From parsed arguments and the environment; raises OptionError."""
        if arguments.replay is not None:
            check_recording(arguments.replay)
        if (arguments.tls_cert is None) != (arguments.tls_key is None):
            raise OptionError("--tls-cert and --tls-key go together")
        if arguments.speed <= 0:
            raise OptionError("--speed must be above 0")
        if arguments.address_limit < 0:
            raise OptionError("--address-limit must not be below 0")
        key = arguments.key or environ.get(KEY_ENV, "")
        secret = arguments.secret or environ.get(SECRET_ENV, "")
        if bool(key) != bool(secret):
            raise OptionError("a key needs its secret, and a secret its key")
        return cls(key=key, secret=secret, **{n: getattr(arguments, n) for n in TAKEN})


def check_recording(path: Path) -> None:
    """Raises OptionError with the number of the first bad line."""
    try:
        Recording(path, default_listing())
    except ReplayError as error:
        raise OptionError(str(error)) from error


def add_paper_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb; `PaperOptions.of` reads them."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", type=int, default=DEFAULT_PORT, help="port, 0 for a free one")
    add("--key", default="", help=f"API key of a first account (or {KEY_ENV})")
    add("--secret", default="", help=f"its throw-away secret (or {SECRET_ENV})")
    add("--seed", type=int, default=1, help="seed of prices, ids and delays")
    add("--speed", type=float, default=1.0, help="how fast prices move, 1 is life")
    add(
        "--replay",
        type=Path,
        metavar="FILE",
        help="play the prices of recorded public frames: JSON lines of ts, topic, frame",
    )
    add("--clock", choices=("auto", "manual"), default="auto", help="manual: time only by steps")
    add("--data", type=Path, metavar="DIR", help="keep the books here (default: memory alone)")
    add("--fresh", action="store_true", help="start with empty books")
    add(
        "--link-rule",
        choices=("day", "open"),
        default="day",
        help="how long an orderLinkId stays reserved: 24 hours, or while its order is open",
    )
    add(
        "--address-limit",
        type=int,
        default=REQUESTS,
        metavar="N",
        help="requests of one address in 5 s before it is shut out (default %(default)s, 0: none)",
    )
    add("--tls-cert", type=Path, metavar="FILE", help="serve TLS with this certificate")
    add("--tls-key", type=Path, metavar="FILE", help="and this key")
