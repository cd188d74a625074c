import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from positiond.daemon.sdnotify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@positiond-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + address[1:] if address.startswith("@") else address)
        receiver.settimeout(5)
        yield receiver, address


def test_ready_reaches_the_manager_with_its_status(manager: tuple[socket.socket, str]) -> None:
    receiver, address = manager
    Notifier({"NOTIFY_SOCKET": address}).ready("6 positions in sync")
    assert receiver.recv(200) == b"READY=1\nSTATUS=6 positions in sync"


def test_watchdog_and_stopping_are_messages_of_their_own(
    manager: tuple[socket.socket, str],
) -> None:
    receiver, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.watchdog()
    notifier.stopping()
    assert receiver.recv(200) == b"WATCHDOG=1"
    assert receiver.recv(200).startswith(b"STOPPING=1\n")


def test_a_status_with_line_breaks_cannot_smuggle_in_other_messages(
    manager: tuple[socket.socket, str],
) -> None:
    receiver, address = manager
    Notifier({"NOTIFY_SOCKET": address}).status("late\nWATCHDOG=1")
    assert receiver.recv(200) == b"STATUS=late WATCHDOG=1"


def test_without_a_manager_nothing_is_sent_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[object] = []
    monkeypatch.setattr("socket.socket", lambda *args: opened.append(args))
    Notifier({}).ready("on its own")
    assert opened == []


def test_a_manager_that_is_gone_does_not_stop_the_daemon(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).watchdog()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_counts_only_when_it_is_meant_for_this_process(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert Notifier(environ).watchdog_seconds == seconds
