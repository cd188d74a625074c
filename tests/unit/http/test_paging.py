from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from positiond.daemon.domain.errors import InvalidInput
from positiond.http.paging import page, read_cursor, read_limit

from .stubs import NOW, position_view

VIEWS = [position_view(f"p{i}", opened_at=NOW + timedelta(seconds=i // 3)) for i in range(10)]


def test_pages_cover_everything_once_even_where_times_are_equal() -> None:
    seen: list[str] = []
    after = None
    for _ in range(10):
        shown, following = page(VIEWS, after, limit=3)
        seen += [view.position.name for view in shown]
        if following is None:
            break
        after = read_cursor(following)
    assert sorted(seen) == sorted(view.position.name for view in VIEWS)
    assert len(seen) == len(set(seen))


def test_a_page_that_is_just_full_has_no_next() -> None:
    assert page(VIEWS, None, limit=10)[1] is None
    assert page([], None, limit=10) == ([], None)


def test_a_position_that_left_does_not_shift_the_next_page() -> None:
    first, following = page(VIEWS, None, limit=4)
    assert following is not None
    rest, _ = page([view for view in VIEWS if view is not first[3]], read_cursor(following), 10)
    assert len(rest) == 6


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        base64.urlsafe_b64encode(b"2026-03-01T12:00:00|not-an-id").decode(),
        base64.urlsafe_b64encode(f"2026-03-01T12:00:00|{VIEWS[0].position.id}".encode()).decode(),
        base64.urlsafe_b64encode(b"\xff\xff").decode(),
    ],
)
def test_a_cursor_that_we_did_not_give_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_cursor(cursor)
    assert refused.value.field == "after"


@pytest.mark.parametrize(
    "limit",
    [
        *("", "0", "1001", "-1", "1.5", "²", "١", "9" * 5000),
        # Judged by all of it, not by how it begins.
        *("000001" + "9" * 5000, "0000019999999", "000999999"),
    ],
)
def test_a_limit_out_of_bounds_is_refused(limit: str) -> None:
    with pytest.raises(InvalidInput):
        read_limit(limit)


def test_a_limit_within_bounds_is_read() -> None:
    assert (read_limit("1"), read_limit("1000")) == (1, 1000)
