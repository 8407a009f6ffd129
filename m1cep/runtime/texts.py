"""What generated expressions call: text, arrays, times. Arguments are never None; a result of None is SQL's NULL."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from m1cep.model.time import EPOCH
from m1cep.model.types import MAX_TIME_US

MAX_TEXT = 1_048_576  # characters: of a record's size
_FIXED_US = {"SECOND": 1_000_000, "MINUTE": 60_000_000, "HOUR": 3_600_000_000, "DAY": 86_400_000_000}
_WEEK_US = 7 * _FIXED_US["DAY"]
_MONDAY_US = 4 * _FIXED_US["DAY"]  # 1970-01-01 was a Thursday: the first Monday is the 5th


def upper(x: str) -> str:
    """Upper case."""
    return x.upper()


def lower(x: str) -> str:
    """Lower case."""
    return x.lower()


def trim(x: str, characters: str) -> str:
    """Without any of ``characters`` at both ends."""
    return x.strip(characters) if characters else x


def ltrim(x: str, characters: str) -> str:
    """Without any of ``characters`` at the beginning."""
    return x.lstrip(characters) if characters else x


def rtrim(x: str, characters: str) -> str:
    """Without any of ``characters`` at the end."""
    return x.rstrip(characters) if characters else x


def length(x: str) -> int:
    """Characters."""
    return len(x)


def reverse(x: str) -> str:
    """Last character first."""
    return x[::-1]


def substring(x: str, start: int, count: int | None = None) -> str:
    """Characters from ``start`` (1 is the first), ``count`` of them or all."""
    end = len(x) + 1 if count is None else start + max(count, 0)
    return x[max(start, 1) - 1 : max(end, 1) - 1]


def left(x: str, count: int) -> str:
    """The first ``count`` characters."""
    return x[: max(count, 0)]


def right(x: str, count: int) -> str:
    """The last ``count`` characters."""
    return x[max(len(x) - count, 0) :] if count > 0 else ""


def strpos(x: str, part: str) -> int:
    """Where ``part`` begins, from 1; 0 where it does not occur."""
    return x.find(part) + 1


def starts_with(x: str, part: str) -> bool:
    """Whether the text begins so."""
    return x.startswith(part)


def ends_with(x: str, part: str) -> bool:
    """Whether the text ends so."""
    return x.endswith(part)


def replace(x: str, old: str, new: str) -> str | None:
    """Every ``old`` by ``new``; nothing where ``old`` is empty. NULL beyond MAX_TEXT characters."""
    if not old:
        return x
    return x.replace(old, new) if len(x) + x.count(old) * (len(new) - len(old)) <= MAX_TEXT else None


def concat_ws(separator: str, parts: tuple[str | None, ...]) -> str:
    """The parts that are not NULL, with the separator between them."""
    return separator.join(p for p in parts if p is not None)


def split_part(x: str, delimiter: str, index: int) -> str | None:
    """The n-th part, from 1; NULL where there are fewer, or the delimiter is empty."""
    parts = x.split(delimiter) if delimiter else []
    return parts[index - 1] if 1 <= index <= len(parts) else None


def cardinality(x: list[Any] | dict[str, Any]) -> int:
    """Elements."""
    return len(x)


def element(x: list[Any], index: int) -> Any:
    """The n-th element, from 1; NULL where there are fewer."""
    return x[index - 1] if 1 <= index <= len(x) else None


def contains(x: list[Any], item: Any) -> bool | None:
    """Whether an element is equal; NULL where none is and one is NULL."""
    return True if item in x else None if None in x else False


#: Fields of the time of day: microseconds in each, and how many there are of it in the next greater one.
_OF_THE_DAY = {"SECOND": (1_000_000, 60), "MINUTE": (60_000_000, 60), "HOUR": (3_600_000_000, 24)}


def extract(part: str, value: int, unit: str) -> int:
    """A field of a timestamp in UTC; DOW and DAYOFWEEK count from Sunday = 1 as in Flink, WEEK as ISO 8601 does."""
    micros = value if unit == "us" else value * 1000
    if part in _OF_THE_DAY:
        length, count = _OF_THE_DAY[part]
        return micros // length % count
    if part == "EPOCH":
        return micros // 1_000_000
    if part == "MILLISECOND":
        return micros // 1000 % 1000
    moment = EPOCH + timedelta(microseconds=micros)
    match part:
        case "DOW" | "DAYOFWEEK":
            return moment.isoweekday() % 7 + 1
        case "DOY" | "DAYOFYEAR":
            return moment.timetuple().tm_yday
        case "WEEK":
            return moment.isocalendar().week
        case "QUARTER":
            return (moment.month + 2) // 3
    return int(getattr(moment, part.lower()))


def time_floor(part: str, value: int, unit: str) -> int | None:
    """The beginning, in UTC, of the unit of time that ``value`` lies in; a week begins on Monday."""
    micros = value if unit == "us" else value * 1000
    found = _begin(part, micros)
    return None if found is None else found if unit == "us" else found // 1000


def time_ceil(part: str, value: int, unit: str) -> int | None:
    """The first beginning of a unit of time that is not before ``value``; NULL beyond the year 9999."""
    micros = value if unit == "us" else value * 1000
    found = _begin(part, micros)
    if found is not None and found < micros:
        found = _begin(part, found + _longest(part))
    if found is None or found > MAX_TIME_US:
        return None
    return found if unit == "us" else found // 1000


def _begin(part: str, micros: int) -> int | None:
    if part in _FIXED_US:
        return micros - micros % _FIXED_US[part]
    if part == "WEEK":
        return micros - (micros - _MONDAY_US) % _WEEK_US
    try:
        moment = EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None
    month = {"YEAR": 1, "QUARTER": (moment.month - 1) // 3 * 3 + 1, "MONTH": moment.month}[part]
    return (datetime(moment.year, month, 1, tzinfo=EPOCH.tzinfo) - EPOCH) // timedelta(microseconds=1)


def _longest(part: str) -> int:
    """Microseconds after a beginning that surely lie in the next unit, and in no later one."""
    days = {"WEEK": 7, "MONTH": 31, "QUARTER": 92, "YEAR": 366}
    return _FIXED_US.get(part) or days[part] * _FIXED_US["DAY"]
