"""Why a rule did not fire: the slow walk finds what the engine finds, and whatever failed on an event names its reason."""

import pytest
from hypothesis import HealthCheck, event, given, settings
from reference import strategies as some
from reference.compare import STREAMS, by_key, engine_alerts, expected_of
from reference.patterns import TooHardError
from reference.query import ONE_ROW, SkipError

import m1cep
from m1cep.plan.program import compile_program
from m1cep.whynot import Inquiry
from m1cep.whynot.asking import Asker
from m1cep.whynot.attempts import MATCH, Budget, Walker

FEATURES = [
    {"past", "subset"},
    {"runs"},
    {"skip", "subset"},
    {"all", "exclude", "empty", "subset"},
    {"empty", "nothing", "anchor", "permute"},
    {"past", "next"},
    {"absent", "past"},
]
some_cases = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def compiled(query, rows):
    """The rule and its alerts; None where AFTER MATCH SKIP is an error."""
    try:
        if isinstance(expected_of(query, rows), SkipError):
            return None
    except TooHardError:
        return None
    try:
        rule = m1cep.compile_rule(query.sql(), STREAMS, "case")
        return rule, engine_alerts(rule, rows, stream=query.source)
    except (m1cep.RuleError, m1cep.RuleFailure):
        return None


def walked(rule, rows):
    """Event ids of the matches that the slow walk finds, by key."""
    module, _ = Asker(rule, m1cep.FixedLookups()).unsuppressed()
    walker = Walker(rule.plan, compile_program(rule.plan.pattern), module, rule.source.time_attr)
    found = {}
    for key, events in by_key(rows).items():
        ordered = [rule.source.decoder.convert(e) for e in events]
        for attempt in walker.walk(ordered, Budget(), until=rows[-1]["ts"]):
            if attempt.ending == MATCH:
                ids = [r.event_id for r in ordered[attempt.start : attempt.start + len(attempt.path)]]
                found.setdefault(key, []).append(ids)
    return found


@pytest.mark.parametrize("features", FEATURES, ids=lambda f: "-".join(sorted(f)))
def test_the_slow_walk_finds_the_matches_of_the_engine(features):
    @some_cases
    @given(some.cases(features - {"all", "exclude"}, limit=9))
    def holds(case):
        assert case.query.rows_per_match == ONE_ROW
        found = compiled(case.query, case.rows)
        if found is None:
            return
        rule, alerts = found
        expected = {}
        for alert in alerts:
            expected.setdefault(alert.key["k"], []).append(alert.events)
        event("a match" if alerts else "no match")
        assert walked(rule, case.rows) == expected, case.query.sql()

    holds()


@pytest.mark.parametrize("features", FEATURES, ids=lambda f: "-".join(sorted(f)))
def test_every_attempt_that_failed_on_an_event_names_a_condition_that_is_not_true(features):
    @some_cases
    @given(some.cases(features, limit=9))
    def holds(case):
        found = compiled(case.query, case.rows)
        if found is None:
            return
        rule, alerts = found
        inquiry = Inquiry(rule)
        inquiry.push(case.query.source, case.rows)
        answer = inquiry.finish()
        told = [(m.row, list(m.events)) for k in answer.keys for m in k.matches if not m.suppressed]
        assert sorted(map(str, told)) == sorted(str((a.row, a.events)) for a in alerts)
        for near in (n for k in answer.keys for n in k.near):
            absent = "absence" in near.what
            event("an absence" if absent else "a row" if near.event else "time")
            waits = near.what.endswith("it is still open")  # for a row that fits, or for time to pass without one
            if near.event is not None and not (waits and not near.failed):
                assert bool(near.failed) is not absent, (case.query.sql(), near)

    holds()
