"""Sums of DOUBLE within a match: exact, rounded once."""

import random
from fractions import Fraction

import pytest

from m1cep.runtime.exact import average, exact_add, exact_value

RNG = random.Random(5)
CASES = {
    "amounts": [round(RNG.uniform(0.001, 3), 5) for _ in range(300)],
    "a large amount that goes again": [1e15, *[0.01] * 50, -1e15, *[0.01] * 50],
    "all sizes": [RNG.choice((-1, 1)) * 2.0 ** RNG.randrange(-1074, 960) for _ in range(100)],
    "beyond DOUBLE and back": [*[1.7e308] * 5, *[-1.7e308] * 5, 1.5],
    "what cancels": [x for n in range(1, 60) for x in (n / 7, -n / 7)],
}


def rounded(values):
    try:
        return float(sum(map(Fraction, values)))
    except OverflowError:
        return None


@pytest.mark.parametrize("values", CASES.values(), ids=list(CASES))
def test_every_sum_on_the_way_is_that_of_the_exact_values_rounded_once(values):
    parts = None
    for n, value in enumerate(values, 1):
        parts = exact_add(parts, value)
        total = rounded(values[:n])
        assert exact_value(parts) == total
        assert average(parts, n) == (None if total is None else total / n)


def test_a_sum_of_many_is_kept_in_few_numbers():
    parts = None
    for _ in range(200):
        for value in CASES["amounts"][:50]:
            parts = exact_add(parts, value)
            assert len(parts) <= 8


def test_the_sum_of_nothing_is_null():
    assert exact_value(None) is None
    assert average(None, 0) is None
