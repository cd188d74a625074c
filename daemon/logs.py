"""Logging: structlog for all, the libraries' own records included, secrets redacted, UTC."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Final, TextIO

import orjson
import structlog
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError
from structlog.typing import EventDict, Processor, WrappedLogger

from .config import LogConfig

REDACTED: Final = "***"
_TELLING: Final = (
    "secret",
    "signature",
    "token",
    "password",
    "api_key",
    "apikey",
    "cookie",
    "sign",
)


def configure(config: LogConfig, stream: TextIO | None = None) -> None:
    """Send structlog and stdlib records through one chain to `stream` (stderr by default)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(config.format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.level.upper())
    logging.captureWarnings(capture=True)
    logging.getLogger("aiohttp.server").addFilter(_lower_what_a_client_did)
    for chatty in ("asyncio", "aiohttp.access", "websockets", "websockets.client"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _lower_what_a_client_did(record: logging.LogRecord) -> bool:
    """Bytes that are no HTTP, or no such body, are told to whoever sent them; we log no error."""
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, HttpProcessingError | RequestPayloadError):
        return True
    record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return logging.getLogger().isEnabledFor(logging.DEBUG)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A processor that hides every value whose key names a secret, at any depth."""
    return {key: _hidden(str(key), value) for key, value in event.items()}


def _hidden(key: str, value: object) -> object:
    if any(_is_named(key.lower().replace("-", "_"), word) for word in _TELLING):
        return REDACTED
    if isinstance(value, Mapping):
        return {inner: _hidden(str(inner), content) for inner, content in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden("", content) for content in value]
    return value


def _is_named(key: str, word: str) -> bool:
    # `sign` stands alone or as a last part (X-BAPI-SIGN); `signed_at` is no secret.
    if word == "sign":
        return key == word or key.endswith("_sign")
    return word in key


def _renderers(form: str) -> list[Processor]:
    if form == "console":
        # Plain tracebacks: the rich ones print local variables, and with them secrets.
        plain = structlog.dev.plain_traceback
        return [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
        ]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json)]


def _json(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
