"""The verb's options: from the command line, from the environment, and faulty."""

import argparse

import pytest
from positiond.bybit.paper.options import OptionError, PaperOptions, add_paper_arguments


def read(*arguments: str, **environ: str) -> PaperOptions:
    parser = argparse.ArgumentParser()
    add_paper_arguments(parser)
    return PaperOptions.of(parser.parse_args(arguments), environ)


def test_defaults_listen_on_loopback_and_keep_nothing() -> None:
    options = read()
    assert (options.host, options.clock, options.data, options.key) == (
        "127.0.0.1",
        "auto",
        None,
        "",
    )


def test_the_first_account_may_come_from_the_environment() -> None:
    options = read(POSITIOND_PAPER_KEY="k", POSITIOND_PAPER_SECRET="hush")
    assert (options.key, options.secret) == ("k", "hush")
    assert "hush" not in repr(options)
    assert read("--key", "other", "--secret", "s", POSITIOND_PAPER_KEY="k").key == "other"


@pytest.mark.parametrize(
    "arguments",
    [("--replay", "x"), ("--key", "k"), ("--speed", "0"), ("--tls-cert", "c")],
)
def test_a_faulty_option_is_one_clear_line(arguments: tuple[str, ...]) -> None:
    with pytest.raises(OptionError) as error:
        read(*arguments)
    assert "\n" not in str(error.value)
