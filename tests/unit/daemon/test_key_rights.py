from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from positiond.bybit.paper.model import USUAL_RIGHTS
from positiond.daemon.domain.model import Category, KeyInfo
from positiond.daemon.key_rights import forbidden_rights, right_lacking, warnings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIT = KeyInfo("1", False, {"ContractTrade": ("Order", "Position")}, ("203.0.113.7",), None)


def test_a_bound_trading_key_is_fit_without_a_word() -> None:
    assert forbidden_rights(FIT) == []
    assert list(warnings(FIT, NOW)) == []


@pytest.mark.parametrize("right", ["Withdraw", "AccountTransfer", "SubMemberTransfer"])
def test_a_right_to_move_money_out_is_forbidden(right: str) -> None:
    key = replace(FIT, permissions={**FIT.permissions, "Wallet": (right,)})
    assert forbidden_rights(key) == [f"Wallet.{right}"]


def test_money_is_moved_out_by_whatever_the_wallet_group_names_and_under_any_group() -> None:
    rights = {"Wallet": ("SomethingNew",), "Another": ("Withdraw", "Read")}
    key = replace(FIT, permissions={**FIT.permissions, **rights})
    assert forbidden_rights(key) == ["Wallet.SomethingNew", "Another.Withdraw"]


# --- legs -----------------------------------------------------------------------------------

LEGS = [
    (Category.LINEAR, "USDT", "ContractTrade.Order"),
    (Category.INVERSE, "BTC", "ContractTrade.Order"),
    (Category.LINEAR, "USDC", "Options.OptionsTrade"),
    (Category.OPTION, "USDT", "Options.OptionsTrade"),
    (Category.OPTION, None, "Options.OptionsTrade"),
    (Category.SPOT, None, "Spot.SpotTrade"),
]


UNIFIED = {"Derivatives": ("DerivativesTrade",)}


def key_with(*rights: str) -> KeyInfo:
    """As Bybit shows it: every group, empty or not."""
    groups = ("ContractTrade", "Options", "Spot", "Wallet")
    return replace(
        FIT,
        permissions={
            group: tuple(name for of, _, name in (r.partition(".") for r in rights) if of == group)
            for group in groups
        },
    )


@pytest.mark.parametrize(("category", "coin", "right"), LEGS)
def test_each_kind_of_leg_needs_a_right_of_its_own(
    category: Category, coin: str | None, right: str
) -> None:
    others = [other for _, _, other in LEGS if other != right]
    assert right_lacking(key_with(*others), category, coin) == right
    assert right_lacking(key_with(right), category, coin) is None
    assert right_lacking(key_with(*USUAL_RIGHTS), category, coin) is None


@pytest.mark.parametrize("key", [None, replace(FIT, permissions={})])
def test_a_key_of_which_nothing_is_known_lacks_nothing(key: KeyInfo | None) -> None:
    assert [right_lacking(key, category, coin) for category, coin, _ in LEGS] == [None] * len(LEGS)


def test_what_is_not_named_as_we_know_it_keeps_nobody_from_closing() -> None:
    unnamed = replace(FIT, permissions={"Wallet": (), "Futures": ("Trade",)})
    assert {right_lacking(unnamed, category, coin) for category, coin, _ in LEGS} == {None}
    unified = replace(key_with(), permissions={**key_with().permissions, **UNIFIED})
    lacking = {needed: right_lacking(unified, category, coin) for category, coin, needed in LEGS}
    assert lacking == {
        "ContractTrade.Order": None,
        "Options.OptionsTrade": "Options.OptionsTrade",
        "Spot.SpotTrade": "Spot.SpotTrade",
    }


def test_a_linear_leg_whose_coin_is_unknown_lacks_nothing_for_certain() -> None:
    assert right_lacking(key_with(), Category.LINEAR, None) is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"read_only": True}, "read-only"),
        ({"ips": ()}, "not bound"),
        ({"expires_at": NOW + timedelta(days=3)}, "expires 2026-01-04"),
    ],
)
def test_what_an_operator_should_know_is_a_warning(change: dict[str, object], word: str) -> None:
    (said,) = warnings(replace(FIT, **change), NOW)  # type: ignore[arg-type] # built by the table
    assert word in said
