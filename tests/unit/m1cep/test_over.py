"""Aggregates over sliding frames. A frame of 10 s at t holds [t - 10 s, t]: both ends belong to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from letters import LETTERS, alerts, rows

import m1cep
from m1cep.runtime.sliding import Extreme, Total

OVER = "OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '10' SECOND PRECEDING AND CURRENT ROW)"


def column(sql, events):
    return [a.row["w"] for a in alerts(f"SELECT k, {sql} {OVER} AS w FROM letters", events)]


def test_a_row_leaves_after_the_frame():
    #  t (s)      0    5    10   10.001  30
    #  frame of   0    0,5  0..  5..     30
    events = rows("AAAAA", times=[0, 5_000, 10_000, 10_001, 30_000], values=[1, 2, 4, 8, 16])
    assert column("SUM(v)", events) == [1, 3, 7, 14, 16]
    assert column("COUNT(*)", events) == [1, 2, 3, 3, 1]
    assert column("MIN(v)", events) == [1, 1, 1, 2, 16]
    assert column("MAX(v)", events) == [1, 2, 4, 8, 16]
    assert column("AVG(v)", events)[2] == pytest.approx(7 / 3)


def test_filter_and_null_do_not_count():
    events = rows("ABA", values=[1, 2, None])
    assert column("COUNT(v)", events) == [1, 2, 2]
    assert column("SUM(v) FILTER (WHERE l = 'B')", events) == [None, 2, 2]


def test_the_alert_comes_with_the_row_that_crosses():
    text = f"SELECT * FROM (SELECT k, v, SUM(v) {OVER} AS s FROM letters) AS t WHERE t.s > 3"
    [alert] = alerts(text, rows("AAA", values=[1, 2, 1]))
    assert alert.row == {"k": "k", "v": 1.0, "s": 4.0}
    assert alert.events == ["A0", "A1", "A2"]


def test_qualify_and_named_windows():
    text = """SELECT k, COUNT(*) OVER w AS n, MAX(v) OVER w AS top FROM letters
      WINDOW w AS (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '10' SECOND PRECEDING AND CURRENT ROW)
      QUALIFY n >= 2 AND l = 'B'"""
    assert [a.row for a in alerts(text, rows("AB"))] == [{"k": "k", "n": 2, "top": 1.0}]


def test_suppress_lets_one_alert_through_a_span():
    text = f"/*\nid: s\nsuppress: 10 s\n*/ SELECT k, COUNT(*) {OVER} AS n FROM letters"
    events = rows("AAAA", times=[0, 9_999, 10_000, 12_000])
    assert [a.event_time for a in alerts(text, events)] == [0, 10_000]


def test_keys_leave_when_they_are_silent():
    engine = m1cep.Engine([m1cep.compile_rule(f"SELECT k, COUNT(*) {OVER} AS n FROM letters", LETTERS, "o")])
    for i in range(50):
        engine.push("letters", rows("A", key=f"k{i}"))
    engine.push("letters", rows("A", key="late", times=[60_000]))
    assert engine.counters()["o"]["keys"] == 1


finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


@given(st.lists(finite, max_size=30), st.integers(0, 30))
def test_a_total_depends_on_what_is_in_it_and_not_on_what_left(values, left):
    moved, fresh = Total(), Total()
    for v in values:
        moved.add(v)
    for v in values[:left]:
        moved.add(-v)
    for v in values[left:]:
        fresh.add(v)
    assert moved.value() == fresh.value()


def test_a_total_is_rounded_once():
    total = Total()
    for v in (2.0**53, 1.0, 2.0**-60):  # rounded part by part this would be 2**53
        total.add(v)
    assert total.value() == 2.0**53 + 2


@given(st.lists(st.integers(-5, 5), max_size=40), st.booleans())
def test_an_extreme_is_that_of_the_values_still_there(values, greatest):
    extreme, here = Extreme(greatest), []
    for n, v in enumerate(values):
        extreme.add(v)
        here.append(v)
        if n % 3 == 2:
            extreme.remove(here.pop(0))
        assert extreme.value() == (max(here) if greatest else min(here))
