import os
import signal
import subprocess
import sys
from pathlib import Path

from positiond.daemon.presence import pids_in, present

HOLD = """
import sys
from pathlib import Path
from positiond.daemon.presence import present
with present(Path(sys.argv[1]), "daemon"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_process_is_found_while_it_is_present_and_not_after(tmp_path: Path) -> None:
    with present(tmp_path, "daemon"):
        assert pids_in(tmp_path, "daemon") == [os.getpid()]
        assert pids_in(tmp_path, "paper") == []
    assert pids_in(tmp_path, "daemon") == []


def test_a_killed_process_is_not_found_and_its_leftover_is_swept(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert pids_in(tmp_path, "daemon") == [holder.pid]
        holder.send_signal(signal.SIGKILL)
    assert pids_in(tmp_path, "daemon") == []
    assert list((tmp_path / "run").iterdir()) == []


def test_a_directory_that_does_not_exist_has_nobody(tmp_path: Path) -> None:
    assert pids_in(tmp_path / "none", "daemon") == []
