"""The calendar of dated contracts: everything expires at 08:00 UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAY = timedelta(days=1)
DAY_MS = 86_400_000
EXPIRY_HOUR = 8
FRIDAY = 4
QUARTERS = {3: "H", 6: "M", 9: "U", 12: "Z"}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True)
class Expiries:
    """The next dates of each series, soonest first."""

    daily: datetime
    weekly: tuple[datetime, ...]
    monthly: datetime
    quarterly: tuple[datetime, ...]

    @property
    def of_futures(self) -> list[datetime]:
        return sorted({*self.weekly, self.monthly, *self.quarterly})

    @property
    def of_options(self) -> list[datetime]:
        return sorted({self.daily, self.weekly[0], self.monthly, self.quarterly[0]})


def expiries_after(now_ms: int) -> Expiries:
    """What is listed at a time. A listed date stays listed until it is over: a series rolls
    only by dropping its soonest date."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    first = now.replace(hour=EXPIRY_HOUR, minute=0, second=0, microsecond=0)
    if first <= now:
        first += DAY
    friday = first + DAY * ((FRIDAY - first.weekday()) % 7)
    months = [day for day in _month_ends(first) if day >= first]
    quarters = [day for day in months if day.month in QUARTERS]
    return Expiries(first, (friday, friday + 7 * DAY), months[0], tuple(quarters[:2]))


def _month_ends(first: datetime) -> list[datetime]:
    """The last Fridays of this month and the eight after it."""
    ends = []
    for n in range(9):
        year, month = divmod(first.month + n, 12)
        after = first.replace(year=first.year + year, month=month + 1, day=1)
        last = after - DAY
        ends.append(last - DAY * ((last.weekday() - FRIDAY) % 7))
    return ends


def to_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def date_name(moment: datetime) -> str:
    """`5DEC25`: the day without a leading zero, as the venue writes it."""
    return f"{moment.day}{MONTHS[moment.month - 1]}{moment:%y}"


def quarter_name(moment: datetime) -> str:
    """`Z25`: the letter of an inverse quarterly future."""
    return f"{QUARTERS[moment.month]}{moment:%y}"


def date_of(name: str) -> datetime | None:
    """The expiry behind a `date_name`; None where it is not one."""
    day, month, year = name[:-5], name[-5:-2], name[-2:]
    if not (day.isdecimal() and year.isdecimal() and month in MONTHS):
        return None
    try:
        return datetime(
            2000 + int(year), MONTHS.index(month) + 1, int(day), EXPIRY_HOUR, tzinfo=UTC
        )
    except ValueError:
        return None


def quarter_of(name: str) -> datetime | None:
    """The expiry behind a `quarter_name`: the last Friday of its month."""
    months = {letter: month for month, letter in QUARTERS.items()}
    if len(name) != 3 or name[0] not in months or not name[1:].isdecimal():
        return None
    first = datetime(2000 + int(name[1:]), months[name[0]], 1, EXPIRY_HOUR, tzinfo=UTC)
    return _month_ends(first)[0]
