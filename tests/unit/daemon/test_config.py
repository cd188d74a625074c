import base64
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from positiond.daemon.config import Config, credential_reader, effective, load
from positiond.daemon.domain.errors import ConfigError
from positiond.daemon.domain.model import Environment
from positiond.daemon.settings import SETTINGS

KEY = base64.b64encode(bytes(range(32))).decode()


def loaded(environ: Mapping[str, str], credentials: Mapping[str, str] | None = None) -> Config:
    return load({"HOME": "/home/ann", **environ}, (credentials or {}).get)


def faults(environ: Mapping[str, str], credentials: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(environ, credentials)
    return caught.value.detail.splitlines()


def test_nothing_configured_listens_on_loopback_with_an_embedded_database() -> None:
    config = loaded({})
    assert (config.http.host, config.http.port) == ("127.0.0.1", 8080)
    assert config.database.url is None
    assert config.data_dir == Path("/home/ann/.local/share/positiond")
    assert config.http.public_url == "http://localhost:8080"
    assert Environment.PAPER not in config.hosts


def test_closes_slip_as_far_as_bybit_lets_them_unless_told_otherwise() -> None:
    assert loaded({}).loops.close_slippage is None
    config = loaded({"POSITIOND_CLOSE_SLIPPAGE": "0.5"})
    assert config.loops.close_slippage == Decimal("0.5")
    assert effective(config)["POSITIOND_CLOSE_SLIPPAGE"] == "0.5"


def test_all_faults_are_reported_together() -> None:
    found = faults(
        {
            "POSITIOND_HTTP_PORT": "eighty",
            "POSITIOND_SWEEP_MINUTES": "7",
            "POSITIOND_LOG_LEVEL": "loud",
            "POSITIOND_SEAL_KEY": "c2hvcnQ=",
            "POSITIOND_DATA_DIR": "here",
            "POSITIOND_PAPER_URL": "ftp://x",
        }
    )
    assert sorted(line.split(":")[0] for line in found) == [
        "POSITIOND_DATA_DIR",
        "POSITIOND_HTTP_PORT",
        "POSITIOND_LOG_LEVEL",
        "POSITIOND_PAPER_URL",
        "POSITIOND_SEAL_KEY",
        "POSITIOND_SWEEP_MINUTES",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSITIOND_HTTP_PORT", "65536"),
        ("POSITIOND_HTTP_PORT", "-1"),
        ("POSITIOND_HTTP_PORT", "٣"),
        ("POSITIOND_CLOSE_EXPIRY", "0"),
        ("POSITIOND_SWEEP_MINUTES", "0"),
        ("POSITIOND_CLOSE_SLIPPAGE", "0"),
        ("POSITIOND_CLOSE_SLIPPAGE", "10.01"),
        ("POSITIOND_CLOSE_SLIPPAGE", "0.125"),
        ("POSITIOND_CLOSE_SLIPPAGE", "NaN"),
        ("POSITIOND_CLOSE_SLIPPAGE", "1%"),
        ("POSITIOND_SPOT_FEE_TOLERANCE", "0.051"),
        ("POSITIOND_SPOT_FEE_TOLERANCE", "-0.001"),
        ("POSITIOND_SPOT_FEE_TOLERANCE", "NaN"),
        ("POSITIOND_SPOT_FEE_TOLERANCE", "little"),
        ("POSITIOND_DATABASE_URL", "mysql://h/db"),
        ("POSITIOND_MAINNET_REST_URL", "http://[::1"),
        ("POSITIOND_MAINNET_REST_URL", "https://host:port"),
        ("POSITIOND_MAINNET_REST_URL", "https://host/v5"),
        ("POSITIOND_MAINNET_WS_URL", "https://host"),
        ("POSITIOND_BEHIND_PROXY", "maybe"),
        ("POSITIOND_LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_value_is_one_fault_under_its_name(name: str, value: str) -> None:
    (fault,) = faults({name: value})
    assert fault.startswith(f"{name}: ")


def test_an_unknown_name_is_a_fault_with_a_hint() -> None:
    (fault,) = faults({"POSITIOND_HTP_PORT": "1"})
    assert "did you mean POSITIOND_HTTP_PORT?" in fault


def test_names_of_other_programs_are_nobodys_fault() -> None:
    assert loaded({"PATH": "/bin", "POSITIOND_SMOKE_KEY": "k"}) == loaded({})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "positions.example"])
def test_listening_beyond_loopback_needs_a_stated_proxy(host: str) -> None:
    (fault,) = faults({"POSITIOND_HTTP_HOST": host})
    assert "POSITIOND_BEHIND_PROXY=1" in fault
    assert loaded({"POSITIOND_HTTP_HOST": host, "POSITIOND_BEHIND_PROXY": "1"}).http.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_proxy(host: str) -> None:
    assert loaded({"POSITIOND_HTTP_HOST": host}).http.host == host


def test_the_paper_url_serves_rest_and_both_streams() -> None:
    hosts = loaded({"POSITIOND_PAPER_URL": "http://127.0.0.1:8081/"}).hosts[Environment.PAPER]
    assert hosts.rest == "http://127.0.0.1:8081"
    assert hosts.public_ws == hosts.private_ws == "ws://127.0.0.1:8081"


def test_a_host_override_leaves_the_other_host_alone() -> None:
    config = loaded({"POSITIOND_TESTNET_REST_URL": "https://here.example"})
    hosts = config.hosts[Environment.TESTNET]
    assert hosts.rest == "https://here.example"
    assert hosts.private_ws == loaded({}).hosts[Environment.TESTNET].private_ws


def test_secrets_appear_in_no_repr_and_not_in_the_effective_settings() -> None:
    config = loaded(
        {"POSITIOND_DATABASE_URL": "postgresql://ann:hunter2@db/positiond"},
        {"POSITIOND_SEAL_KEY": KEY},
    )
    shown = repr(config) + str(effective(config))
    assert "hunter2" not in shown
    assert KEY not in shown
    assert repr(config.seal.key) not in shown
    assert effective(config)["POSITIOND_DATABASE_URL"] == "postgresql://ann:***@db/positiond"


def test_a_password_among_the_parameters_of_the_url_is_hidden_too() -> None:
    config = loaded({"POSITIOND_DATABASE_URL": "postgresql://db/positiond?password=hunter2"})
    assert "hunter2" not in effective(config)["POSITIOND_DATABASE_URL"]


def test_a_fault_never_repeats_a_secret() -> None:
    found = faults(
        {"POSITIOND_DATABASE_URL": "ann:hunter2@db", "POSITIOND_SEAL_KEY": "hunter2hunter2"}
    )
    assert "hunter2" not in "".join(found)


def test_a_credential_file_counts_like_the_variable(tmp_path: Path) -> None:
    (tmp_path / "POSITIOND_SEAL_KEY").write_text(KEY + "\n")
    environ = {"HOME": "/home/ann", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load(environ, credential_reader(environ)).seal.key == bytes(range(32))


def test_a_credential_that_contradicts_the_environment_is_a_fault() -> None:
    (fault,) = faults({"POSITIOND_HTTP_PORT": "1"}, {"POSITIOND_HTTP_PORT": "2"})
    assert "differs" in fault


def test_an_unreadable_credential_is_a_fault_among_the_others(tmp_path: Path) -> None:
    (tmp_path / "POSITIOND_SEAL_KEY").mkdir()
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "POSITIOND_HTTP_PORT": "x"}
    with pytest.raises(ConfigError) as caught:
        load(environ, credential_reader(environ))
    assert len(caught.value.detail.splitlines()) == 2


def test_systemds_state_directory_is_the_data_directory() -> None:
    environ = {"STATE_DIRECTORY": "/var/lib/one:/var/lib/two"}
    assert loaded(environ).data_dir == Path("/var/lib/one")


def test_root_does_not_keep_its_data_in_its_closed_home() -> None:
    assert loaded({"HOME": "/root"}).data_dir == Path("/var/lib/positiond")


def test_the_effective_settings_cover_the_table_in_its_order() -> None:
    assert list(effective(loaded({}))) == [setting.name for setting in SETTINGS]
