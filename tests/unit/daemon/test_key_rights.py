from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from positiond.daemon.domain.model import KeyInfo
from positiond.daemon.key_rights import forbidden_rights, warnings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIT = KeyInfo("1", False, {"ContractTrade": ("Order", "Position")}, ("203.0.113.7",), None)


def test_a_bound_trading_key_is_fit_without_a_word() -> None:
    assert forbidden_rights(FIT) == []
    assert list(warnings(FIT, NOW)) == []


@pytest.mark.parametrize("right", ["Withdraw", "AccountTransfer", "SubMemberTransfer"])
def test_a_right_to_move_money_out_is_forbidden(right: str) -> None:
    key = replace(FIT, permissions={**FIT.permissions, "Wallet": (right,)})
    assert forbidden_rights(key) == [f"Wallet.{right}"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"read_only": True}, "read-only"),
        ({"ips": ()}, "not bound"),
        ({"ips": ("*",)}, "not bound"),
        ({"expires_at": NOW + timedelta(days=3)}, "expires 2026-01-04"),
    ],
)
def test_what_an_operator_should_know_is_a_warning(change: dict[str, object], word: str) -> None:
    (said,) = warnings(replace(FIT, **change), NOW)  # type: ignore[arg-type] # built by the table
    assert word in said
