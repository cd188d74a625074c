import sys
from types import ModuleType

import pytest
from positiond.daemon import cli
from positiond.daemon.cli import VERBS, Exit, main
from positiond.daemon.domain.errors import (
    ConfigError,
    Conflict,
    ExchangeUnreachable,
    InvalidInput,
    SchemaMismatch,
    StoreUnavailable,
)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A verb `fail` that raises what its module's `error` holds."""
    module = ModuleType("failing_verb")

    def run_fail(_args: object) -> int:
        raise module.error

    module.__dict__.update(add_fail_arguments=lambda _parser: None, run_fail=run_fail)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(cli, "VERBS", (cli.Verb("fail", "fail", module.__name__),))
    return module


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x", "wrong"), Exit.CONFIGURATION),
        (SchemaMismatch("x", "newer"), Exit.CONFIGURATION),
        (StoreUnavailable("x", "no database"), Exit.UNAVAILABLE),
        (ExchangeUnreachable("x", "no exchange"), Exit.UNAVAILABLE),
        (InvalidInput("x", "not so"), Exit.USAGE),
        (Conflict("x", "taken"), Exit.FAILURE),
        (OSError("disk full"), Exit.FAILURE),
        (ExceptionGroup("group", [ConfigError("x", "wrong")]), Exit.CONFIGURATION),
    ],
)
def test_each_kind_of_error_is_one_line_and_its_own_code(
    failing: ModuleType, capsys: pytest.CaptureFixture[str], error: Exception, code: Exit
) -> None:
    failing.__dict__["error"] = error
    assert main(["fail"]) == code
    shown = capsys.readouterr().err
    assert shown.startswith("positiond: ")
    assert shown.count("\n") == 1


def test_an_unforeseen_error_shows_no_traceback(
    failing: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    failing.__dict__["error"] = KeyError("surprise")
    assert main(["fail"]) == Exit.FAILURE
    assert "Traceback" not in capsys.readouterr().err


def test_debugging_lets_an_unforeseen_error_through(
    failing: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSITIOND_LOG_LEVEL", "debug")
    failing.__dict__["error"] = KeyError("surprise")
    with pytest.raises(KeyError):
        main(["fail"])


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_has_help_that_states_the_exit_codes(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert "78  the configuration" in capsys.readouterr().out


def test_an_unknown_verb_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sell-everything"])
    assert ended.value.code == Exit.USAGE
    assert "sell-everything" in capsys.readouterr().err


def test_config_shows_what_is_in_force(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSITIOND_HTTP_PORT", "9999")
    assert main(["config"]) == Exit.OK
    assert "POSITIOND_HTTP_PORT=9999" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("environment", ["mainnet", "moonnet"])
def test_the_smoke_test_refuses_what_is_no_test_environment(
    environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["smoke", "--env", environment]) == Exit.USAGE
    assert capsys.readouterr().err.count("\n") == 1


def test_secrets_are_never_taken_as_arguments() -> None:
    for words in (["user", "add", "ann", "--password", "x"], ["account", "add", "--secret", "x"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == Exit.USAGE
