"""Aggregates over sliding frames. A frame of 10 s at t holds [t - 10 s, t]: both ends belong to it."""

import math
import statistics
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from letters import LETTERS, alerts, rows

import m1cep
from m1cep.runtime.sliding import UNITS, Extreme, Moments, rounded, scaled

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


def over(sql, frame, events, partition="PARTITION BY k"):
    text = f"SELECT k, {sql} OVER ({partition} ORDER BY ts {frame}) AS w FROM letters"
    return [a.row["w"] for a in alerts(text, events)]


def test_a_frame_of_rows_holds_the_present_row_and_those_before_it_however_long_ago():
    #  t (s)      0   1   1   90
    #  frame      0   01  12  23      1 preceding
    events = rows("AAAA", times=[0, 1_000, 1_000, 90_000], values=[1, 2, 4, 8])
    frame = "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW"
    assert over("SUM(v)", frame, events) == [1, 3, 6, 12]
    assert over("MIN(v)", frame, events) == [1, 1, 2, 4]
    assert over("SUM(v)", "ROWS 1 PRECEDING", events) == [1, 3, 6, 12]
    assert over("SUM(v)", "ROWS BETWEEN 0 PRECEDING AND CURRENT ROW", events) == [1, 2, 4, 8]


def test_different_values_are_counted_until_the_last_of_them_leaves():
    #  t (s)      0   4   8   12     frame of 10 s: A leaves with the row at 12, but there is another at 4
    events = rows("AABA", times=[0, 4_000, 8_000, 14_001], values=[1, 1, 5, 1])
    frame = "RANGE BETWEEN INTERVAL '10' SECOND PRECEDING AND CURRENT ROW"
    assert over("COUNT(DISTINCT l)", frame, events) == [1, 1, 2, 2]
    assert over("SUM(DISTINCT v)", frame, events) == [1, 1, 6, 6]
    assert over("COUNT(DISTINCT l)", frame, events[:3] + rows("B", times=[30_000])) == [1, 1, 2, 1]


def test_the_spread_of_what_is_in_the_frame():
    frame = "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW"
    events = rows("AAAA", values=[1e15, 1, 3, 3])
    assert over("STDDEV(v)", frame, events)[2:] == [2**0.5, 0]
    assert over("STDDEV_POP(v)", frame, events)[2:] == [1, 0]
    assert over("VARIANCE(v)", frame, events)[2:] == [2, 0]
    assert over("VAR_POP(v)", frame, events)[0] == 0
    assert over("STDDEV(v)", frame, events)[0] is None  # a sample of one has no spread


def test_lag_looks_rows_back_in_the_same_key():
    events = rows("AB", values=[1, 2]) + rows("C", key="other", times=[2_000]) + rows("D", times=[3_000], values=[8])
    assert over("LAG(v)", "", events) == [None, 1, None, 2]
    assert over("LAG(v, 2)", "", events) == [None, None, None, 1]
    assert over("v - LAG(v, 1)", "", events) == [None, 1, None, 6]


def test_without_a_key_all_rows_are_together():
    events = rows("A", key="x") + rows("B", key="y", times=[1_000])
    frame = "RANGE BETWEEN INTERVAL '10' SECOND PRECEDING AND CURRENT ROW"
    assert over("COUNT(*)", frame, events, partition="") == [1, 2]
    [_, alert] = alerts(f"SELECT COUNT(*) OVER (ORDER BY ts {frame}) AS n FROM letters", events)
    assert alert.key == {}


def test_the_alert_names_the_rows_that_count_in_any_frame():
    text = """SELECT k, SUM(v) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '1' SECOND PRECEDING AND CURRENT ROW) AS s,
      COUNT(*) FILTER (WHERE l = 'B') OVER (PARTITION BY k ORDER BY ts ROWS 3 PRECEDING) AS b,
      LAG(v, 4) OVER (PARTITION BY k ORDER BY ts) AS before FROM letters QUALIFY before IS NOT NULL"""
    #  t      0   1   2   3   4   5
    #         A   B   A   A   A   A      LAG: B at 1; ROWS 3: no B any more; RANGE 1 s: 4 and 5
    assert [a.events for a in alerts(text, rows("ABAAAA"))] == [["A0", "B1", "A3", "A4"], ["B1", "A4", "A5"]]


def test_keys_with_a_frame_of_rows_stay():
    text = "SELECT k, COUNT(*) OVER (PARTITION BY k ORDER BY ts ROWS 1 PRECEDING) AS n FROM letters"
    engine = m1cep.Engine([m1cep.compile_rule(text, LETTERS, "o")])
    engine.push("letters", rows("A"))
    engine.push("letters", rows("A", key="late", times=[10**9]))
    assert engine.counters()["o"]["keys"] == 2
    assert [a.row["n"] for a in engine.push("letters", rows("A", times=[10**9 + 1]))] == [2]


@pytest.mark.parametrize(
    ("window", "at", "message", "hint"),
    [
        (
            "SUM(v) OVER (ORDER BY ts ROWS UNBOUNDED PRECEDING)",
            "SUM",
            "without a bound it would hold all rows",
            "ROWS BETWEEN",
        ),
        (
            "SUM(v) OVER (ORDER BY ts RANGE UNBOUNDED PRECEDING)",
            "SUM",
            "without a bound it would hold all rows",
            "RANGE",
        ),
        ("SUM(v) OVER (ORDER BY ts)", "SUM", "expected a frame", "RANGE BETWEEN"),
        ("SUM(v) OVER (ORDER BY ts ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)", "", "to CURRENT ROW", ""),
        ("SUM(v) OVER (ORDER BY ts ROWS 1.5 PRECEDING)", "", "a whole number", ""),
        ("SUM(v) OVER (ORDER BY ts RANGE 5 PRECEDING)", "", "expects an INTERVAL", ""),
        ("SUM(v) OVER (ORDER BY v ROWS 5 PRECEDING)", "v", "ordered by event time", "ORDER BY ts"),
        ("ROW_NUMBER() OVER (ORDER BY ts)", "", "ROW_NUMBER OVER is not supported", "count for ever"),
        ("LEAD(v) OVER (ORDER BY ts)", "", "LEAD OVER is not supported", "LAG"),
        ("LAG(v, 1, 0) OVER (ORDER BY ts)", "", "LAG expects a column and an offset", "COALESCE"),
        ("LAG(v, v) OVER (ORDER BY ts)", "", "must be a whole number", ""),
        ("LAG(v) OVER (ORDER BY ts ROWS 5 PRECEDING)", "", "LAG has no frame", ""),
        ("FIRST_VALUE(v) OVER (ORDER BY ts ROWS 5 PRECEDING)", "", "is not an aggregate", "STDDEV_POP"),
        ("SUM(v) OVER (w ROWS 5 PRECEDING)", "", "no window 'w'", "WINDOW w AS"),
        ("COUNT(DISTINCT *) OVER (ORDER BY ts ROWS 5 PRECEDING)", "", "is not SQL", "COUNT(column)"),
    ],
)
def test_refusal(window, at, message, hint):
    text = f"SELECT {window} AS w FROM letters"
    with pytest.raises(m1cep.RuleError) as caught:
        m1cep.compile_rule(text, LETTERS)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert text[caught.value.offset :].startswith(at)


def test_a_named_window_is_not_changed():
    text = "SELECT SUM(v) OVER (w ROWS 5 PRECEDING) AS s FROM letters WINDOW w AS (PARTITION BY k ORDER BY ts)"
    with pytest.raises(m1cep.RuleError, match="named or written out, not both"):
        m1cep.compile_rule(text, LETTERS)


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
    moved = sum(map(scaled, values)) - sum(map(scaled, values[:left]))
    assert rounded(moved) == rounded(sum(map(scaled, values[left:])))
    assert rounded(moved) == rounded(sum(map(Fraction, values[left:])) * 2**100)


def test_a_total_is_rounded_once():
    # rounded part by part this would be 2**53
    assert rounded(sum(map(scaled, (2.0**53, 1.0, 2.0**-60)))) == 2.0**53 + 2


@pytest.mark.parametrize("x", [0.1, -3.75, 1e-5, 2.0**-1074, 1e-40, 1.7e308, 0.0, -0.0])
def test_a_number_in_units_is_that_number(x):
    assert rounded(scaled(x)) == x
    if (x * UNITS).is_integer():  # what generated code does by itself
        assert int(x * UNITS) == scaled(x)


def test_sums_of_the_least_and_the_greatest_numbers_are_exact_and_outlive_a_snapshot():
    #  t (s)      0      1      10      10.001   10.002   20.001
    values = [1e300, 2.0**-1074, -1e300, 2.0**-1074, 0.1, 0.25]
    events = rows("AAAAAA", times=[0, 1_000, 10_000, 10_001, 10_002, 20_001], values=values)
    rule = m1cep.compile_rule(f"SELECT SUM(v) {OVER} AS total FROM letters", LETTERS, "o")
    engine, found = m1cep.Engine([rule]), []
    for event in events:
        found += [a.row["total"] for a in engine.push("letters", [event])]
        engine = m1cep.Engine.restore([rule], engine.snapshot())
    tie = (
        0.1 + 0.25
    )  # half-way between two DOUBLEs, and so rounded down to the even one: the least number makes it more
    assert found == [1e300, 1e300, 2.0**-1074, -1e300, -1e300, math.nextafter(tie, 1)]


@given(st.lists(st.integers(-5, 5), max_size=40), st.booleans())
def test_an_extreme_is_that_of_the_values_still_there(values, greatest):
    extreme, here = Extreme(greatest), []
    for n, v in enumerate(values):
        extreme.add(v)
        here.append(v)
        if n % 3 == 2:
            extreme.remove(here.pop(0))
        assert extreme.value() == (max(here) if greatest else min(here))


def test_a_sum_beyond_double_is_null_and_comes_back():
    events = rows("AAAA", times=[0, 1, 2, 20_000], values=[1.7e308, 1.7e308, 1.0, 2.0])
    assert column("SUM(v)", events) == [1.7e308, None, None, 2]
    assert column("AVG(v)", events) == [1.7e308, None, None, 2]
    assert column("SUM(v * 10)", events) == [None, None, 10, 20]


@given(st.lists(st.floats(-1e100, 1e100), max_size=20), st.integers(0, 20))
def test_moments_depend_on_what_is_in_them(values, left):
    moved, fresh = Moments(), Moments()
    for v in values:
        moved.add(v)
    for v in values[:left]:
        moved.remove(v)
    for v in values[left:]:
        fresh.add(v)
    assert moved.state() == fresh.state()
    if len(values) - left > 1:
        assert fresh.deviation(1) == pytest.approx(statistics.stdev(values[left:]), rel=1e-12, abs=1e-150)
