import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from aiohttp.http_exceptions import BadStatusLine
from aiohttp.web import RequestPayloadError
from positiond.daemon import logs
from positiond.daemon.config import LogConfig


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure(LogConfig(), stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_every_line_is_json_in_utc_whoever_wrote_it(lines: io.StringIO) -> None:
    structlog.get_logger("ours").info("a close was accepted", close_id="c1")
    logging.getLogger("theirs").warning("%d retries", 3)
    ours, theirs = (json.loads(line) for line in lines.getvalue().splitlines())
    assert ours["event"] == "a close was accepted"
    assert theirs["event"] == "3 retries"
    assert ours["timestamp"].endswith("Z")
    assert theirs["level"] == "warning"


@pytest.mark.parametrize(
    "key", ["secret", "api_secret", "X-BAPI-SIGN", "X-BAPI-API-KEY", "token", "Password", "cookie"]
)
def test_values_named_like_secrets_are_hidden_at_any_depth(lines: io.StringIO, key: str) -> None:
    structlog.get_logger("x").warning("sent", headers={key: "hunter2"}, rows=[{key: "hunter2"}])
    logging.getLogger("y").warning("sent", extra={key: "hunter2"})
    assert "hunter2" not in lines.getvalue()


def test_words_that_only_resemble_secrets_stay_readable(lines: io.StringIO) -> None:
    structlog.get_logger("x").info("planned", signed_at="12:00", assigned="0.4")
    shown = json.loads(lines.getvalue())
    assert (shown["signed_at"], shown["assigned"]) == ("12:00", "0.4")


def test_a_traceback_stays_within_its_line(lines: io.StringIO) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger("x").exception("a loop failed")
    (line,) = lines.getvalue().splitlines()
    assert "ValueError: broken" in json.loads(line)["exception"]


def test_a_client_that_speaks_no_http_is_no_error_of_ours(lines: io.StringIO) -> None:
    server = logging.getLogger("aiohttp.server")
    server.error("Error handling request", exc_info=BadStatusLine("GARBAGE"))
    server.error("Unhandled exception", exc_info=RequestPayloadError("not gzip"))
    server.error("Unhandled exception", exc_info=RuntimeError("ours"))
    (line,) = lines.getvalue().splitlines()
    assert json.loads(line)["event"] == "Unhandled exception"
