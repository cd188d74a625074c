"""systemd's notify protocol: READY, STATUS, WATCHDOG and STOPPING over NOTIFY_SOCKET.

Source: sd_notify(3). Thirty lines, so no library: the datagram's format is all there is to it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import structlog

_log = structlog.get_logger(__name__)


class Notifier:
    """Sends to the service manager; without one every call does nothing."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the abstract namespace, whose names begin with a zero byte.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._environ = environ

    def ready(self, status: str) -> None:
        self._send("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        self._send(f"STATUS={status}")

    def watchdog(self) -> None:
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1", "STATUS=stopping")

    @property
    def watchdog_seconds(self) -> float | None:
        """How long the manager waits between two WATCHDOG messages; None where it does not."""
        microseconds = self._environ.get("WATCHDOG_USEC", "")
        if not microseconds.isdigit() or int(microseconds) == 0:
            return None
        if self._environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return None
        return int(microseconds) / 1_000_000

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        message = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.connect(self._address)
                sender.send(message.encode())
        except OSError as error:
            # The daemon outlives a manager that is restarting; the watchdog will judge.
            _log.warning("the service manager did not take a message", error=str(error))
