"""Event time: an integer with a unit, from integers or RFC 3339 text; durations as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_SQL_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?)\s?([Zz]|[+-]\d{2}:\d{2})?)?", re.ASCII
)
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|m|min|h|d)\s*", re.ASCII)
_DURATION_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
INTERVAL_US = {
    "MICROSECOND": 1,
    "MILLISECOND": 1_000,
    "SECOND": 1_000_000,
    "MINUTE": 60_000_000,
    "HOUR": 3_600_000_000,
    "DAY": 86_400_000_000,
    "WEEK": 604_800_000_000,
}


def parse_rfc3339(text: str, unit: str) -> int:
    """Epoch time in ``unit`` ("ms" or "us") of an RFC 3339 date-time with an offset; finer digits are cut.

    Raises:
        ValueError: the text is not an RFC 3339 date-time with an offset.
    """
    found = _RFC3339.fullmatch(text)
    if found is None:
        msg = f"expected epoch {unit} or RFC 3339 text such as 2026-05-01T12:00:00Z, got {text[:40]!r}"
        raise ValueError(msg)
    date, clock, fraction, offset = found.groups()
    moment = datetime.fromisoformat(f"{date}T{clock}{'+00:00' if offset in 'Zz' else offset}")
    seconds = int((moment - EPOCH).total_seconds())
    micros = seconds * 1_000_000 + int((fraction or "0").ljust(6, "0")[:6])
    return micros if unit == "us" else micros // 1000


def parse_time(text: str, unit: str) -> int:
    """Epoch time in ``unit`` of a date, or a date and time, as written in SQL; without an offset it is UTC.

    Raises:
        ValueError: the text is not a date or a date and time.
    """
    found = _SQL_TIME.fullmatch(text.strip())
    if found is None:
        msg = f"expected a date and time such as 2026-05-01 12:00:00, got {text[:40]!r}"
        raise ValueError(msg)
    date, clock, offset = found.groups()
    return parse_rfc3339(f"{date}T{clock or '00:00:00'}{offset or 'Z'}", unit)


def parse_duration_us(text: str) -> int:
    """Microseconds of a duration such as ``5 s``, ``200 ms``, ``1.5 h``.

    Raises:
        ValueError: the text is not a number and a unit.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        msg = f"expected a duration such as '5 s' (units: {', '.join(_DURATION_US)}), got {text!r}"
        raise ValueError(msg)
    micros = float(found[1]) * _DURATION_US[found[2]]
    if micros >= 2**63:
        msg = f"expected a duration of less than 292,000 years, got {text[:40]!r}"
        raise ValueError(msg)
    return round(micros)


def in_unit(micros: int, unit: str) -> int:
    """A duration of ``micros`` microseconds in ``unit``, rounded up so that no bound becomes tighter by rounding."""
    return micros if unit == "us" else -(-micros // 1000)


def to_rfc3339(value: int, unit: str) -> str:
    """Epoch time in ``unit`` as RFC 3339 text in UTC."""
    micros = value if unit == "us" else value * 1000
    moment = EPOCH + timedelta(seconds=micros // 1_000_000)
    digits = f"{micros % 1_000_000:06d}" if unit == "us" else f"{value % 1000:03d}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{digits}Z".rjust(len("2026-05-01T12:00:00.Z") + len(digits), "0")
