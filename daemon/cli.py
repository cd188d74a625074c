"""`positiond VERB`: the verbs, their exit codes, and errors as one clear line.

The modules behind the verbs are imported only when their verb runs, so `--help` stays fast.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, cast

from .domain.errors import (
    ConfigError,
    ExchangeBusy,
    ExchangeUnreachable,
    InvalidInput,
    PositiondError,
    SchemaMismatch,
    StoreUnavailable,
)
from .supervise import first_errors


class Exit(IntEnum):
    """What the process ends with; the numbers above 63 are those of sysexits.h."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    UNAVAILABLE = 69
    CONFIGURATION = 78


_EPILOG: Final = """exit codes:
  0   done
  1   failed; the line on stderr says why
  2   the command was not understood, or is refused as it was put
  69  the database or the exchange cannot be reached
  78  the configuration or the schema is wrong (systemd does not restart on it)
"""


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb and the module whose `add_NAME_arguments(parser)` and `run_NAME(args)` do it."""

    name: str
    summary: str
    module: str

    def part(self, pattern: str) -> Callable[..., object]:
        module = importlib.import_module(self.module, __package__)
        function = getattr(module, pattern.format(self.name.replace("-", "_")))
        return cast("Callable[..., object]", function)


VERBS: Final = (
    Verb("serve", "run the daemon", ".serving"),
    Verb("demo", "everything on this machine, with nothing configured", ".demo"),
    Verb("paper", "run the paper exchange alone", ".serving"),
    Verb("smoke", "prove a whole life of a position against paper, testnet or demo", ".smoke"),
    Verb("user", "add users, set passwords, list", ".admin"),
    Verb("token", "create, list and revoke API tokens", ".admin"),
    Verb("account", "add, list, check and remove Bybit accounts", ".admin_accounts"),
    Verb("pause-trading", "stop all sending of orders", ".admin"),
    Verb("resume-trading", "allow sending again", ".admin"),
    Verb("migrate", "bring the database to this version's schema", ".admin"),
    Verb("config", "print the configuration in force, secrets redacted", ".serving"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code; argparse ends the process with 2 on bad usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = _parser(words).parse_args(words)
    verb = next(verb for verb in VERBS if verb.name == args.verb)
    try:
        return int(cast("int", verb.part("run_{}")(args)))
    except KeyboardInterrupt:
        return _say("interrupted", Exit.FAILURE)
    except BrokenPipeError:
        # The reader of our output left; a second flush at exit must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILURE
    except Exception as error:
        return _say_failure(error)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="positiond",
        description="Tracks synthetic positions on Bybit and closes them reduce-only.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        command = commands.add_parser(
            verb.name,
            help=verb.summary,
            description=verb.summary[0].upper() + verb.summary[1:] + ".",
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        # Only the verb that was asked for pays for the import of its module.
        if verb.name in words[:1]:
            verb.part("add_{}_arguments")(command)
    return parser


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(version("positiond"))
        parser.exit()


def _say_failure(error: Exception) -> int:
    leaves = first_errors(error)
    first = leaves[0]
    unforeseen = not isinstance(first, PositiondError | OSError)
    if unforeseen and os.environ.get("POSITIOND_LOG_LEVEL", "").lower() == "debug":
        raise error
    if isinstance(first, PositiondError):
        return _say(first.detail, _exit_code(first))
    if isinstance(first, OSError):
        return _say(str(first), Exit.FAILURE)
    return _say(f"unforeseen {type(first).__name__}: {first}", Exit.FAILURE)


def _exit_code(error: PositiondError) -> Exit:
    match error:
        case ConfigError() | SchemaMismatch():
            return Exit.CONFIGURATION
        case StoreUnavailable() | ExchangeUnreachable() | ExchangeBusy():
            return Exit.UNAVAILABLE
        case InvalidInput():
            return Exit.USAGE
        case _:
            return Exit.FAILURE


def _say(text: str, code: Exit) -> int:
    for line in text.splitlines():
        print(f"positiond: {line}", file=sys.stderr)
    return code
