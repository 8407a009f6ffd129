"""The engine finds what the reference matcher (tests/reference) finds: random patterns, rows and batch cuts.

M1CEP_CASES sets how many cases a run tries in all (default 2,400).
"""

import os

from hypothesis import HealthCheck, event, given, settings
from reference import strategies as some
from reference.compare import check

GROUPS = 9
CASES = max(1, int(os.environ.get("M1CEP_CASES", "2400")) // GROUPS)
thorough = settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@thorough
@given(some.cases(set()))
def test_conditions_on_the_row_at_hand(case):
    event(check(*case))


@thorough
@given(some.cases({"past", "subset"}, limit=10))
def test_conditions_on_rows_before(case):
    event(check(*case))


@thorough
@given(some.cases({"runs"}, {"subset"}, {"skip"}, {"all"}, limit=10))
def test_conditions_on_the_rows_of_a_loop_before(case):
    event(check(*case))


@thorough
@given(some.cases({"skip", "subset"}, {"past"}, limit=10))
def test_where_matching_goes_on_after_a_match(case):
    event(check(*case))


@thorough
@given(some.cases({"all", "exclude", "empty", "subset"}, {"past"}, {"skip"}, limit=10))
def test_all_rows_per_match(case):
    event(check(*case))


@thorough
@given(some.cases({"empty", "nothing", "anchor", "permute"}, {"past"}, limit=9))
def test_empty_matches_anchors_and_permutations(case):
    event(check(*case))


@thorough
@given(some.cases({"past", "next"}, {"all"}, {"skip"}, limit=9))
def test_rows_ahead(case):
    event(check(*case))


@thorough
@given(some.cases({"absent"}, {"past"}, limit=10))
def test_absence(case):
    event(check(*case))


@thorough
@given(
    some.cases(
        set(),
        {"past", "subset"},
        {"skip"},
        {"all", "exclude", "empty"},
        {"next", "past"},
        {"absent"},
        {"runs"},
        limit=9,
        snapshot=True,
    )
)
def test_a_restored_engine_goes_on_as_if_never_stopped(case):
    event(check(*case))
