"""The smoke test itself, as a process: on the paper exchange always, on testnet with a key."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

HAS_KEY = bool(os.environ.get("POSITIOND_SMOKE_KEY") and os.environ.get("POSITIOND_SMOKE_SECRET"))


async def smoke(environment: str, report: Path, **environ: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "positiond.daemon", "smoke"),
        *("--env", environment, "--report", str(report)),
        env={**os.environ, **environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_every_step_passes_against_the_paper_exchange(tmp_path: Path) -> None:
    code, out, err = await smoke("paper", tmp_path / "report.json")
    assert code == 0, out + err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["passed"]
    names = [step["name"] for step in report["steps"]]
    assert "one leg altered by hand, flagged" in names
    assert names[-1] == "account left as found"
    assert all(step["seconds"] >= 0 for step in report["steps"])


async def test_an_exchange_that_cannot_be_reached_is_one_line_well_within_30_seconds(
    tmp_path: Path,
) -> None:
    async with asyncio.timeout(30):
        code, _, err = await smoke(
            "testnet",
            tmp_path / "report.json",
            POSITIOND_TESTNET_REST_URL="https://127.0.0.1:1",
            POSITIOND_SMOKE_KEY="key",
            POSITIOND_SMOKE_SECRET="hunter2",
        )
    assert code == 69
    assert err.count("\n") == 1
    assert "hunter2" not in err
    assert not json.loads((tmp_path / "report.json").read_text())["passed"]


@pytest.mark.testnet
@pytest.mark.skipif(not HAS_KEY, reason="needs POSITIOND_SMOKE_KEY and POSITIOND_SMOKE_SECRET")
@pytest.mark.timeout(300)
async def test_every_step_passes_against_testnet(tmp_path: Path) -> None:
    code, out, err = await smoke("testnet", tmp_path / "report.json")
    assert code == 0, out + err
