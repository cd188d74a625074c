"""What the daemon holds in memory of recorded positions and what Bybit was last seen to hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from decimal import Decimal

from .buckets import SymbolKey, position_idx_for
from .deviations import DeviationRow
from .model import (
    Account,
    AccountId,
    BucketKey,
    Category,
    Component,
    ComponentId,
    Holding,
    InstrumentKey,
    KeyInfo,
    Position,
    PositionId,
    Side,
    Verdict,
)
from .orders import CloseRequest
from .verdict import PositionSync, Reading, symbol_of

NOT_COMPARED = PositionSync(Verdict.UNVERIFIED, "not compared with Bybit yet", None, {})


@dataclass(slots=True)
class AccountState:
    """An account with what is known of its connection; `trouble` says why it is not usable."""

    account: Account
    key_info: KeyInfo | None = None
    stream_up: bool = False
    trouble: str | None = None

    @property
    def is_read_only(self) -> bool:
        """Whether the key is known to be one that cannot close."""
        return self.key_info is not None and self.key_info.read_only


@dataclass(slots=True)
class Portfolio:
    """One writer per field; everything that is shown comes from here, at one instant."""

    accounts: dict[AccountId, AccountState] = field(default_factory=dict)
    positions: dict[PositionId, Position] = field(default_factory=dict)
    unassigned: Mapping[BucketKey, Decimal] = field(default_factory=dict)
    syncs: dict[PositionId, PositionSync] = field(default_factory=dict)
    readings: dict[SymbolKey, Reading] = field(default_factory=dict)
    last_closes: dict[PositionId, CloseRequest] = field(default_factory=dict)
    deviations: dict[BucketKey, DeviationRow] = field(default_factory=dict)
    """The open ones, as last written; the reconciler's to write."""
    _by_account: dict[AccountId, set[PositionId]] = field(default_factory=dict)
    _by_symbol: dict[SymbolKey, set[PositionId]] = field(default_factory=dict)

    def put(self, position: Position) -> bool:
        """Add or replace an open position; True when something that is shown changed.

        The flag and its time are the reconciler's to write: a record read from the store before
        the last compare must not set them back.
        """
        old = self.positions.get(position.id)
        if old is not None:
            position = replace(
                position,
                is_altered=old.is_altered,
                verified_at=old.verified_at,
                unrealized_pnl=old.unrealized_pnl,
                pnl_at=old.pnl_at,
            )
        if position == old:
            return False
        self.positions[position.id] = position
        self._by_account.setdefault(position.account_id, set()).add(position.id)
        for symbol in _held_by(position):
            self._by_symbol.setdefault(symbol, set()).add(position.id)
        if old is not None:
            self._release(old, _held_by(old) - _held_by(position))
        self.syncs.setdefault(position.id, NOT_COMPARED)
        return True

    def note_unassigned(
        self, recorded: Mapping[BucketKey, Decimal], symbols: Set[SymbolKey]
    ) -> None:
        """Take over what is unassigned in these symbols, whose locks the caller has.

        In others somebody else may have changed it since `recorded` was read.
        """

        others = {b: n for b, n in self.unassigned.items() if SymbolKey.of(b) not in symbols}
        self.unassigned = others | {b: n for b, n in recorded.items() if SymbolKey.of(b) in symbols}

    def note_close(self, request: CloseRequest) -> bool:
        """Keep it as the position's last close; False where that would set back what is shown.

        Whoever drives a close learns late that it was cancelled: it is over by then, and the
        position may have a newer one.
        """
        known = self.last_closes.get(request.position_id)
        if known is not None:
            is_older = known.id != request.id and known.created_at > request.created_at
            is_over = known.id == request.id and not known.state.is_open and request.state.is_open
            if is_older or is_over:
                return False
        self.last_closes[request.position_id] = request
        return True

    def drop(self, position_id: PositionId) -> Position | None:
        """Forget the position, and what is known of symbols that nobody holds any more.

        Events of such symbols are ignored from now on, so an old reading would go stale unseen.
        """
        self.syncs.pop(position_id, None)
        self.last_closes.pop(position_id, None)
        position = self.positions.pop(position_id, None)
        if position is not None:
            self._release(position, _held_by(position))
            mine = self._by_account[position.account_id]
            mine.discard(position_id)
            if not mine:
                del self._by_account[position.account_id]
        return position

    def _release(self, position: Position, symbols: Iterable[SymbolKey]) -> None:
        """The position has no open leg in the symbols any more."""
        for symbol in symbols:
            holders = self._by_symbol[symbol]
            holders.discard(position.id)
            if holders:
                continue
            del self._by_symbol[symbol]
            self.readings.pop(symbol, None)
            for idx in (0, 1, 2):
                self.deviations.pop(symbol.bucket(idx), None)

    def account_ids(self) -> frozenset[AccountId]:
        """The accounts that have an open position."""
        return frozenset(self._by_account)

    def of_account(self, account_id: AccountId) -> list[Position]:
        """In the order of their ids, whatever came when."""
        return [self.positions[held] for held in sorted(self._by_account.get(account_id, ()))]

    def symbols(self, account_id: AccountId) -> frozenset[SymbolKey]:
        """The symbols where the account has an open leg."""
        return frozenset[SymbolKey]().union(*map(_held_by, self.of_account(account_id)))

    def holders(self, symbols: Iterable[SymbolKey]) -> frozenset[PositionId]:
        """The positions with an open leg in one of the symbols."""
        return frozenset[PositionId]().union(
            *(self._by_symbol.get(symbol, ()) for symbol in symbols)
        )

    def open_in(self, symbol: SymbolKey) -> frozenset[tuple[ComponentId, Decimal]]:
        """What is recorded as open in the symbol, leg by leg."""
        return frozenset((leg.id, leg.open) for leg in self._legs_in(symbol))

    def sides_in(self, symbol: SymbolKey) -> frozenset[Side]:
        """The sides on which something is open in the symbol."""
        return frozenset(leg.side for leg in self._legs_in(symbol))

    def has_leg(self, bucket: BucketKey, rows: Iterable[Holding]) -> bool:
        """Whether something is open in the bucket, by the position mode that the rows tell."""
        told = tuple(rows)
        return any(
            position_idx_for(leg.side, told) == bucket.position_idx
            for leg in self._legs_in(SymbolKey.of(bucket))
        )

    def _legs_in(self, symbol: SymbolKey) -> Iterator[Component]:
        for holder in self._by_symbol.get(symbol, ()):
            position = self.positions[holder]
            for leg in position.components:
                if leg.open > 0 and symbol_of(position, leg) == symbol:
                    yield leg

    def coins_unknown(self) -> frozenset[InstrumentKey]:
        """The spot instruments of open legs whose coin is not known yet: no wallet backs them."""
        return frozenset(
            InstrumentKey(position.environment, component.category, component.symbol)
            for position in self.positions.values()
            for component in position.components
            if component.category is Category.SPOT and component.coin is None and component.open > 0
        )


def _held_by(position: Position) -> frozenset[SymbolKey]:
    return frozenset(symbol_of(position, c) for c in position.components if c.open > 0)
