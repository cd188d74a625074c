"""Which buckets a close works in, and which of them go before others."""

from __future__ import annotations

from collections.abc import Sequence

from .bucket_run import BucketRun
from .close_context import CloseLeg
from .close_job import CloseJob
from .domain.model import Category, Side


def buckets_of(job: CloseJob) -> list[BucketRun]:
    """The job's legs by the place they net in; in hedge mode, where it is known, by side.

    Spot legs stand alone: coin nets with nothing, and each instrument has orders of its own.
    """
    groups: dict[object, list[CloseLeg]] = {}
    for leg in job.legs:
        key: object = (leg.place, _known_side(job, leg))
        if leg.place.category is Category.SPOT:
            key = leg.component.id
        groups.setdefault(key, []).append(leg)
    buckets = [BucketRun(job, legs) for legs in groups.values()]
    link(buckets)
    return buckets


def _known_side(job: CloseJob, leg: CloseLeg) -> Side | None:
    """Its side, if an order of the job shows that the two sides there are held apart."""
    there = [o.bucket for o in job.orders if leg.place.bucket(o.bucket.position_idx) == o.bucket]
    return leg.component.side if any(bucket.position_idx for bucket in there) else None


def link(buckets: Sequence[BucketRun]) -> None:
    """Coin that another leg settles in is sold after that leg, and a coin's legs one by one."""
    for at, bucket in enumerate(buckets):
        if not bucket.is_spot:
            continue
        coin = bucket.place.symbol
        settling = [b for b in buckets if not b.is_spot and b.settle_coin == coin]
        bucket.first = settling + [b for b in buckets[:at] if b.place == bucket.place]
