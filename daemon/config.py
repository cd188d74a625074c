"""The configuration as one frozen tree, built once by `load`, which reports all faults together."""

from __future__ import annotations

import base64
import difflib
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from ..bybit.vocab import HOSTS, Hosts
from .domain.errors import ConfigError
from .domain.model import Environment
from .settings import PREFIX, READ_ELSEWHERE, SETTINGS

ReadCredential = Callable[[str], str | None]

_LEVELS: Final = ("debug", "info", "warning", "error")
_FORMATS: Final = ("json", "console")
_SEAL_KEY_BYTES: Final = 32
_FEE: Final = Decimal("0.002")
# Bybit's highest spot fees stay below 1 %; a larger part of a holding is no fee.
_LARGEST_FEE: Final = Decimal("0.05")
# What Bybit takes as slippage in percent (V5: order/create, slippageTolerance), two decimals.
_SLIPPAGE: Final = (Decimal("0.01"), Decimal(10))
_SLIPPAGE_STEP: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """`url` None means the embedded Postgres, which lives in `postgres` below `embedded_dir`."""

    url: str | None = field(repr=False)
    embedded_dir: Path


@dataclass(frozen=True, slots=True)
class SealConfig:
    """`key` None means the key file, made with mode 0600 when it is missing."""

    key: bytes | None = field(repr=False)
    key_file: Path


@dataclass(frozen=True, slots=True)
class HttpConfig:
    host: str
    port: int
    public_url: str
    behind_proxy: bool

    @property
    def is_secure(self) -> bool:
        """Whether users arrive over https (so that cookies are marked Secure)."""
        return self.public_url.startswith("https://")


@dataclass(frozen=True, slots=True)
class LogConfig:
    level: str = "info"
    format: str = "json"


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """Times of the loops: `sweep_minutes` of the clock, `close_expiry` after acceptance.

    `spot_fee_tolerance` is the part of a spot leg that may be short as the fee of its purchase,
    `close_slippage` (percent) is for closes that name none; None leaves Bybit's own band.
    """

    sweep_minutes: int
    close_expiry: timedelta
    spot_fee_tolerance: Decimal = _FEE
    close_slippage: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """Everything an operator can set. Environments without hosts (paper, unset) are absent."""

    data_dir: Path
    database: DatabaseConfig
    seal: SealConfig
    http: HttpConfig
    hosts: Mapping[Environment, Hosts]
    loops: LoopConfig
    log: LogConfig


def credential_reader(environ: Mapping[str, str]) -> ReadCredential:
    """Reads files of `$CREDENTIALS_DIRECTORY` (systemd's LoadCredential) by their names."""
    directory = environ.get("CREDENTIALS_DIRECTORY")

    def read(name: str) -> str | None:
        if directory is None:
            return None
        try:
            return (Path(directory) / name).read_text().strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError("bad-configuration", f"credential {name}: {error}") from error

    return read


def load(environ: Mapping[str, str], read_credential: ReadCredential) -> Config:
    """Build the tree; ConfigError lists every fault, one per line."""
    sources = _Sources(environ, read_credential)
    data_dir = sources.data_dir()
    http = sources.http()
    config = Config(
        data_dir=data_dir,
        database=DatabaseConfig(sources.database_url(), data_dir),
        seal=SealConfig(sources.seal_key(), data_dir / "seal.key"),
        http=http,
        hosts=sources.hosts(),
        loops=LoopConfig(
            sources.number("POSITIOND_SWEEP_MINUTES", 5, valid=_divides_the_hour),
            timedelta(seconds=sources.number("POSITIOND_CLOSE_EXPIRY", 900, valid=_is_positive)),
            sources.part("POSITIOND_SPOT_FEE_TOLERANCE", _FEE, _LARGEST_FEE),
            sources.slippage("POSITIOND_CLOSE_SLIPPAGE"),
        ),
        log=LogConfig(
            sources.choice("POSITIOND_LOG_LEVEL", _LEVELS, "info"),
            sources.choice("POSITIOND_LOG_FORMAT", _FORMATS, "json"),
        ),
    )
    sources.finish()
    return config


def effective(config: Config) -> dict[str, str]:
    """What is in force under each setting's name, secrets redacted."""
    values = {
        "POSITIOND_DATABASE_URL": _redacted_url(config.database.url)
        or f"embedded in {config.database.embedded_dir / 'postgres'}",
        "POSITIOND_DATA_DIR": str(config.data_dir),
        "POSITIOND_HTTP_HOST": config.http.host,
        "POSITIOND_HTTP_PORT": str(config.http.port),
        "POSITIOND_PUBLIC_URL": config.http.public_url,
        "POSITIOND_BEHIND_PROXY": str(int(config.http.behind_proxy)),
        "POSITIOND_SEAL_KEY": f"file {config.seal.key_file}" if config.seal.key is None else "***",
        "POSITIOND_PAPER_URL": "unset",
        "POSITIOND_SWEEP_MINUTES": str(config.loops.sweep_minutes),
        "POSITIOND_CLOSE_EXPIRY": str(int(config.loops.close_expiry.total_seconds())),
        "POSITIOND_CLOSE_SLIPPAGE": _shown(config.loops.close_slippage, "Bybit's own band"),
        "POSITIOND_SPOT_FEE_TOLERANCE": format(config.loops.spot_fee_tolerance, "f"),
        "POSITIOND_LOG_LEVEL": config.log.level,
        "POSITIOND_LOG_FORMAT": config.log.format,
    }
    for environment, hosts in config.hosts.items():
        stem = PREFIX + environment.upper()
        if environment is Environment.PAPER:
            values[f"{stem}_URL"] = hosts.rest
        else:
            values |= {f"{stem}_REST_URL": hosts.rest, f"{stem}_WS_URL": hosts.private_ws}
    return {setting.name: values[setting.name] for setting in SETTINGS}


class _Sources:
    """Reads settings one by one and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str], read_credential: ReadCredential) -> None:
        self._environ = environ
        self._credential = read_credential
        self._faults: list[str] = []

    def finish(self) -> None:
        known = {setting.name for setting in SETTINGS}
        for name in sorted(self._environ):
            if name.startswith(PREFIX) and name not in known | READ_ELSEWHERE:
                close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
                hint = f"; did you mean {close[0]}?" if close else "; `positiond config` lists all"
                self._faults.append(f"{name}: no such setting{hint}")
        if self._faults:
            raise ConfigError("bad-configuration", "\n".join(self._faults))

    def text(self, name: str) -> str | None:
        """The value, or None when unset or empty; a credential file counts like the variable."""
        plain = self._environ.get(name) or None
        try:
            secret = self._credential(name) or None
        except ConfigError as error:
            self._faults.append(error.detail)
            return plain
        if plain is not None and secret is not None and plain != secret:
            self._fault(name, "differs between the environment and its credential file")
        return secret or plain

    def number(self, name: str, default: int, *, valid: Callable[[int], str | None]) -> int:
        text = self.text(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit():
            self._fault(name, f"not a whole number: {text!r}")
            return default
        complaint = valid(int(text))
        if complaint is not None:
            self._fault(name, f"{complaint}: {text}")
            return default
        return int(text)

    def part(self, name: str, default: Decimal, most: Decimal) -> Decimal:
        """A fraction from 0 to `most`."""
        value = self._decimal(name, Decimal(0), most)
        return default if value is None else value

    def slippage(self, name: str) -> Decimal | None:
        """Percent, as Bybit takes it; None when unset."""
        value = self._decimal(name, *_SLIPPAGE)
        if value is not None and value % _SLIPPAGE_STEP:
            self._fault(name, f"more than two decimals: {value}")
        return value

    def _decimal(self, name: str, least: Decimal, most: Decimal) -> Decimal | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            value = Decimal(text)
        except InvalidOperation:
            self._fault(name, f"not a number: {text!r}")
            return None
        # What is not a number compares with nothing, so it is refused before it is compared.
        if not value.is_finite() or not least <= value <= most:
            self._fault(name, f"not between {least} and {most}: {text}")
            return None
        return value

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name)
        if value is None:
            return default
        if value.lower() not in allowed:
            self._fault(name, f"{value!r} is none of {', '.join(allowed)}")
            return default
        return value.lower()

    def data_dir(self) -> Path:
        text = self.text("POSITIOND_DATA_DIR")
        path = default_data_dir(self._environ, "positiond") if text is None else Path(text)
        if not path.is_absolute():
            self._fault("POSITIOND_DATA_DIR", f"not an absolute path: {text}")
        return path

    def database_url(self) -> str | None:
        url = self.text("POSITIOND_DATABASE_URL")
        # The value may hold a password, so a fault never repeats it.
        if url is not None and not url.startswith(("postgres://", "postgresql://")):
            self._fault("POSITIOND_DATABASE_URL", "does not start with postgresql://")
        return url

    def seal_key(self) -> bytes | None:
        text = self.text("POSITIOND_SEAL_KEY")
        if text is None:
            return None
        is_hex = len(text) == 2 * _SEAL_KEY_BYTES
        try:
            key = bytes.fromhex(text) if is_hex else base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if len(key) != _SEAL_KEY_BYTES:
            wanted = f"{_SEAL_KEY_BYTES} bytes, as base64 or hexadecimal digits"
            self._fault("POSITIOND_SEAL_KEY", f"not {wanted}")
        return key

    def http(self) -> HttpConfig:
        host = self.text("POSITIOND_HTTP_HOST") or "127.0.0.1"
        port = self.number("POSITIOND_HTTP_PORT", 8080, valid=_is_port)
        behind_proxy = self.choice("POSITIOND_BEHIND_PROXY", ("0", "1"), "0") == "1"
        if not _is_loopback(host) and not behind_proxy:
            self._fault(
                "POSITIOND_HTTP_HOST",
                f"{host} is reachable from outside without TLS; listen on 127.0.0.1, or put a "
                "reverse proxy with TLS in front and set POSITIOND_BEHIND_PROXY=1",
            )
        public_url = self.url("POSITIOND_PUBLIC_URL", ("http", "https"))
        return HttpConfig(host, port, public_url or f"http://localhost:{port}", behind_proxy)

    def hosts(self) -> Mapping[Environment, Hosts]:
        hosts = {Environment(name): value for name, value in HOSTS.items()}
        for environment in tuple(hosts):
            stem = PREFIX + environment.upper()
            rest = self.url(f"{stem}_REST_URL", ("https", "http"))
            stream = self.url(f"{stem}_WS_URL", ("wss", "ws"))
            if rest is not None:
                hosts[environment] = replace(hosts[environment], rest=rest)
            if stream is not None:
                hosts[environment] = replace(
                    hosts[environment], public_ws=stream, private_ws=stream
                )
        paper = self.url("POSITIOND_PAPER_URL", ("http", "https"))
        if paper is not None:
            hosts[Environment.PAPER] = paper_hosts(paper)
        return MappingProxyType(hosts)

    def url(self, name: str, schemes: tuple[str, ...]) -> str | None:
        """A base URL without a trailing slash."""
        text = self.text(name)
        if text is None:
            return None
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError as error:
            self._fault(name, f"not a URL: {error}")
            return None
        if parts.scheme not in schemes or not parts.hostname:
            self._fault(name, f"not a URL of {' or '.join(schemes)}: {text!r}")
        elif parts.path.strip("/") or parts.query or parts.username:
            self._fault(name, "wants scheme, host and port only")
        return text.rstrip("/")

    def _fault(self, name: str, complaint: str) -> None:
        self._faults.append(f"{name}: {complaint}")


def paper_hosts(url: str) -> Hosts:
    """The paper exchange serves REST and both streams on one port."""
    stream = "ws" + url.removeprefix("http")
    return Hosts(url, stream, stream)


def default_data_dir(environ: Mapping[str, str], name: str) -> Path:
    """systemd's state directory, else the user's own; root gets /var/lib.

    Root's home is closed to the unprivileged account that the embedded Postgres runs as.
    """
    if state := environ.get("STATE_DIRECTORY"):
        return Path(state.split(":")[0])
    home = environ.get("HOME", "/root")
    if home == "/root":
        return Path("/var/lib") / name
    return Path(environ.get("XDG_DATA_HOME") or f"{home}/.local/share") / name


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(number: Decimal | None, unset: str) -> str:
    return unset if number is None else format(number, "f")


def _redacted_url(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.password is not None:
        user, _, rest = parts.netloc.rpartition("@")
        parts = parts._replace(netloc=f"{user.split(':')[0]}:***@{rest}")
    # libpq also takes a password as a parameter, so parameters are not shown at all.
    return urlunsplit(parts._replace(query="***" if "password" in parts.query else parts.query))


def _is_port(number: int) -> str | None:
    return None if number < 65536 else "not a port"


def _is_positive(number: int) -> str | None:
    return None if number > 0 else "must be above zero"


def _divides_the_hour(number: int) -> str | None:
    return None if number > 0 and 60 % number == 0 else "not a divisor of 60"
