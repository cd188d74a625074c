"""The top-level folder `http` must never shadow the standard library's module of that name."""

import http.client
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
STANDARD_LIBRARY = Path(sysconfig.get_paths()["stdlib"]).resolve()


def test_http_has_no_init() -> None:
    assert not (ROOT / "http" / "__init__.py").exists()


def test_under_pytest_http_is_the_standard_library() -> None:
    assert Path(http.client.__file__).resolve().is_relative_to(STANDARD_LIBRARY)


def test_from_the_root_http_is_the_standard_library() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", "import http.client; print(http.client.__file__)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(shown.stdout.strip()).resolve().is_relative_to(STANDARD_LIBRARY)
