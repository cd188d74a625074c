"""Secrets come by prompt, standard input or file: arguments are visible to every process."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from .domain.errors import InvalidInput
from .domain.model import Credentials


def add_secret_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """`--WHAT-stdin` and `--WHAT-file FILE`; neither means a prompt."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        f"--{what}-stdin",
        dest="secret_stdin",
        action="store_true",
        help=f"read the {what} from standard input (one line)",
    )
    source.add_argument(
        f"--{what}-file",
        dest="secret_file",
        type=Path,
        metavar="FILE",
        help=f"read the {what} from a file",
    )


def read_secret(args: argparse.Namespace, what: str, *, confirm: bool = False) -> str:
    """The secret without its line end; InvalidInput when it is empty or cannot be asked for."""
    if args.secret_stdin:
        secret = sys.stdin.readline()
    elif args.secret_file is not None:
        secret = args.secret_file.read_text()
    elif not sys.stdin.isatty():
        raise InvalidInput(
            "no-secret", f"no terminal to ask on: use --{what}-stdin or --{what}-file"
        )
    else:
        secret = getpass.getpass(f"{what}: ")
        if confirm and getpass.getpass(f"{what} again: ") != secret:
            raise InvalidInput("secrets-differ", f"the two entries of the {what} differ")
    secret = secret.rstrip("\r\n")
    if not secret:
        raise InvalidInput("empty-secret", f"the {what} is empty")
    return secret


def read_key_pair(key_file: Path | None) -> Credentials:
    """An API key and its secret: two lines of a file, the environment, or asked for."""
    if key_file is not None:
        lines = key_file.read_text().split()
        if len(lines) != 2:
            raise InvalidInput("bad-key-file", f"{key_file} wants two lines: key and secret")
        return Credentials(*lines)
    key, secret = (os.environ.get(f"POSITIOND_SMOKE_{part}", "") for part in ("KEY", "SECRET"))
    if key and secret:
        return Credentials(key, secret)
    if not sys.stdin.isatty():
        names = "POSITIOND_SMOKE_KEY and POSITIOND_SMOKE_SECRET"
        raise InvalidInput("no-key", f"no API key: use --key-file, or set {names}")
    return Credentials(input("API key: ").strip(), getpass.getpass("secret: ").strip())
