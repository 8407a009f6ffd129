"""Aggregates of a match as values that are never changed, so that the threads of a match can share them.

Sums of DOUBLE are exact and rounded once, when they are read: the result depends on which rows were taken, not on the order in
which they were added, so that every way of finding a match gives the same digits (ADR 4).
"""

from __future__ import annotations

from fractions import Fraction
from math import fsum, sqrt
from typing import Any

Parts = tuple[float, ...]  # an int counts as a float to mypy
Moments = tuple[int, int, int]
_HUGE = 2.0**970  # the sum of as many smaller values as a match can have does not overflow
_MANY = 8  # numbers after which it pays to make few of them
_UNIT = 1075  # every DOUBLE is a whole multiple of 2**-1074


def exact_add(parts: Parts | None, x: float) -> Parts:
    """Numbers with the exact sum of ``parts`` and ``x``, a few at most.

    What could overflow is a whole number and kept as one, an int behind the others.
    """
    if not parts:
        return (x,) if -_HUGE < x < _HUGE else (int(x),)
    if len(parts) < _MANY and -_HUGE < x < _HUGE:
        return (x, *parts)
    huge: float = 0
    numbers = [x, *parts]
    if type(numbers[-1]) is int:
        huge = numbers.pop()
    if not -_HUGE < x < _HUGE:
        huge += int(numbers.pop(0))
    kept: list[float] = []
    while True:  # each is what the ones before it lack of the sum, rounded: two or three make it exact
        rest = fsum(numbers)
        if not rest:
            break
        if -_HUGE < rest < _HUGE:
            kept.append(rest)
        else:
            huge += int(rest)
        numbers.append(-rest)
    return (*kept, huge) if huge else tuple(kept) or (0.0,)


def exact_value(parts: Parts | None) -> float | None:
    """The sum, correctly rounded; NULL of nothing and beyond DOUBLE."""
    if parts is None:
        return None
    if len(parts) == 1 and type(parts[0]) is float:
        return parts[0]
    if type(parts[-1]) is int:
        try:
            return float(sum(map(Fraction, parts)))
        except OverflowError:
            return None
    return fsum(parts)


def average(parts: Parts | None, count: int) -> float | None:
    """The sum divided by ``count``."""
    if parts is None:
        return None
    if type(parts[-1]) is float:
        return fsum(parts) / count
    total = exact_value(parts)
    return None if total is None else total / count


def moments_add(moments: Moments, x: Any) -> Moments:
    """Count, sum and sum of squares with ``x`` added; the sums in units of 2**-1074 and 2**-2148."""
    numerator, denominator = float(x).as_integer_ratio()
    shift = _UNIT - denominator.bit_length()
    count, total, squares = moments
    return count + 1, total + (numerator << shift), squares + (numerator * numerator << 2 * shift)


def variance(moments: Moments, less: int) -> float | None:
    """Squared deviations by ``count - less`` (1 of a sample, 0 of a population); NULL of too few rows, or beyond DOUBLE."""
    n, total, squares = moments
    if n <= less:
        return None
    try:
        return (n * squares - total * total) / (n * (n - less) << 2 * (_UNIT - 1))
    except OverflowError:
        return None


def deviation(moments: Moments, less: int) -> float | None:
    """Square root of the variance."""
    found = variance(moments, less)
    return None if found is None else sqrt(found)


def with_value(values: frozenset[Any], x: Any) -> frozenset[Any]:
    """``values`` and ``x``."""
    return values if x in values else values | {x}


def distinct_sum(values: frozenset[Any]) -> Any:
    """The sum of distinct values; NULL of none. DOUBLEs are rounded once."""
    if not values:
        return None
    if not isinstance(next(iter(values)), float):
        return sum(values)
    parts: Parts | None = None
    for value in values:
        parts = exact_add(parts, value)
    return exact_value(parts)


def distinct_average(values: frozenset[Any]) -> Any:
    """The mean of distinct values; NULL of none."""
    total = distinct_sum(values)
    return None if total is None else total / len(values)


def label_before(chain: Any, back: int, labels: tuple[str, ...]) -> str | None:
    """CLASSIFIER() of the row ``back`` places before the newest in a chain of states; NULL before the match's first."""
    for _ in range(back - 1):
        chain = chain and chain[0]
    return labels[chain[1]] if chain else None
