"""What goes wrong when many rules share an engine, when state has no bound, and when values are at the edge of their types."""

import pytest

import m1cep

STREAMS = m1cep.parse_streams("""CREATE TABLE s (event_id STRING NOT NULL, k STRING, kind STRING, i BIGINT, d DOUBLE,
    m DECIMAL(20, 4), tags ARRAY<BIGINT>, info ROW<x BIGINT>, ts BIGINT, WATERMARK FOR ts AS ts)
    PARTITIONED BY (k) WITH ('topic' = 's')""")
MATCH = """/*
id: {id}
max_rows: 500
*/
SELECT * FROM s MATCH_RECOGNIZE (
  PARTITION BY {key} ORDER BY ts MEASURES {measures} {skip} PATTERN ({pattern}) {within} DEFINE {define})"""


def match(pattern, define, *, rule_id="r", key="k", measures="COUNT(*) AS n", skip="", within=""):
    text = MATCH.format(
        id=rule_id, pattern=pattern, define=define, key=key, measures=measures, skip=skip, within=within
    )
    return m1cep.compile_rule(text, STREAMS)


def event(n, **columns):
    return {"event_id": f"e{n}", "k": "a", "ts": n} | columns


def matcher(engine):
    return engine._layout.channels["s"].rules[0].operator


@pytest.mark.parametrize("count", [4, 6, 7, 30])
def test_each_of_few_or_many_rules_sees_the_rows_with_its_constant_and_no_others(count):
    text = "/*\nid: r{0}\n*/ SELECT k, i FROM s WHERE kind IN ('v{0}', 'w{0}')"
    engine = m1cep.Engine([m1cep.compile_rule(text.format(n), STREAMS) for n in range(count)])
    for first in (0, 1_000):  # what is found out in the first batch is used in the second
        rows = [event(first + n, kind=f"{'vwx'[n % 3]}{n // 3 % 40}", i=n) for n in range(240)]
        wanted = [(f"r{n // 3 % 40}", [f"e{first + n}"]) for n in range(240) if n % 3 < 2 and n // 3 % 40 < count]
        assert [(a.rule, a.events) for a in engine.push("s", rows)] == wanted


def test_a_value_written_twice_in_a_list_counts_once_however_many_rules_there_are():
    text = "/*\nid: r{}\n*/ SELECT k, i FROM s WHERE kind IN ('a', 'b', 'a')"
    rules = [m1cep.compile_rule(text.format(n), STREAMS) for n in range(4)]
    alerts = m1cep.Engine(rules).push("s", [event(1, kind="a"), event(2, kind="c"), event(3, kind="b")])
    assert [(a.rule, a.events) for a in alerts if a.rule in {"r0", "r3"}] == [
        ("r0", ["e1"]),
        ("r3", ["e1"]),
        ("r0", ["e3"]),
        ("r3", ["e3"]),
    ]


@pytest.mark.parametrize(
    ("pattern", "define", "skip"),
    [
        ("A+ Z", "A AS kind = 'a', Z AS kind = 'z'", "AFTER MATCH SKIP TO NEXT ROW"),
        ("A+ Z", "A AS kind = 'a', Z AS kind = 'z' AND Z.d > AVG(A.d)", ""),
        ("A X*? Z", "A AS i = 0, Z AS LAST(A.i) > X.i", ""),
    ],
)
def test_without_within_the_rows_kept_are_bounded(pattern, define, skip):
    engine = m1cep.Engine([match(pattern, define, skip=skip)])
    engine.push("s", [event(n, kind="a", d=1.0, i=n) for n in range(5_000)])
    assert max((len(p.log) for p in matcher(engine)._live.values()), default=0) < 2_000
    assert engine.counters()["r"]["dropped"] > 0


@pytest.mark.parametrize("condition", ["B.info.x > A.info.x", "B.tags[1] > A.tags[1]"])
def test_conditions_may_look_back_at_arrays_and_rows(condition):
    engine = m1cep.Engine([match("A X*? B", f"A AS kind = 'a', B AS {condition}")])
    events = [event(n, kind="aax"[n % 3], info={"x": n // 2}, tags=[n // 2]) for n in range(3)]
    assert [a.events for a in engine.push("s", events)] == [["e0", "e1", "e2"]]


@pytest.mark.parametrize(("name", "one", "other"), [("m", "1.0", "1.00"), ("d", 0.0, -0.0)])
def test_equal_numbers_are_one_key_whatever_the_batch_cuts(name, one, other):
    rule = match("A ABSENT(B)", "A AS kind = 'a', B AS kind = 'b'", key=name, within="WITHIN INTERVAL '0.010' SECOND")
    events = [event(1, kind="a", **{name: one}), event(50, kind="z", **{name: 9}), event(60, kind="z", **{name: other})]
    whole = m1cep.Engine([rule]).push("s", events)
    engine = m1cep.Engine([rule])
    apart = [alert for e in events for alert in engine.push("s", [e])]
    assert len(whole) == 1
    assert whole == apart


@pytest.mark.parametrize("pattern", ["A+ B", "A B? A+ B"])  # followed over runs, and one by one
def test_sums_that_leave_double_on_the_way_come_back(pattern):
    rule = match(pattern, "A AS kind = 'a', B AS kind = 'b' AND SUM(A.d) > 5", measures="SUM(A.d) AS s")
    values = [1e308, 1e308, -1e308]
    events = [event(n, kind="a", d=d) for n, d in enumerate(values)] + [event(9, kind="b", d=0.0)]
    [alert] = m1cep.Engine([rule]).push("s", events)
    assert alert.row["s"] == 1e308


def test_keys_that_previous_rows_keep_alive_stay_packed():
    engine = m1cep.Engine(
        [match("A B", "A AS kind = 'a', B AS PREV(i) > 1", within="WITHIN INTERVAL '1' SECOND", measures="B.i AS i")]
    )
    for start in range(0, 40_000, 4_000):
        engine.push("s", [event(n, k=f"k{n}", kind="a", i=2) for n in range(start, start + 4_000)])
    engine.push("s", [event(90_000, k="other", kind="z")])
    assert engine.counters()["r"]["keys"] == 40_001
    engine.push("s", [event(99_000, k="other", kind="z")])
    assert len(matcher(engine)._live) < 20_000


def test_a_silent_key_that_waits_for_a_next_row_is_not_woken_again_and_again():
    engine = m1cep.Engine(
        [match("A B*", "A AS kind = 'a', B AS kind = 'b' AND NEXT(i) > 1", within="WITHIN INTERVAL '0.010' SECOND")]
    )
    engine.push("s", [event(n, k=f"k{n}", kind="a", i=2) for n in range(2_000)])
    engine.push("s", [event(5_000, k="other", kind="z")])
    assert len(matcher(engine)._wakes) < 100


def test_matches_leave_no_wake_ups_behind():
    engine = m1cep.Engine(
        [match("A ABSENT(B)", "A AS kind = 'a', B AS kind = 'b'", within="WITHIN INTERVAL '3600' SECOND")]
    )
    engine.push("s", [event(n, kind="ab"[n % 2]) for n in range(10_000)])
    assert len(matcher(engine)._wakes) < 2_000


def test_lists_of_states_that_nobody_comes_back_to_are_forgotten():
    rule = match("A X*? A X{14} Z", "A AS kind = 'a', Z AS kind = 'z'", within="WITHIN INTERVAL '0.100' SECOND")
    engine = m1cep.Engine([rule])
    engine.push("s", [event(n, kind="ab"[(n * n * 7919 + n // 3) % 5 < 2]) for n in range(30_000)])
    assert len(matcher(engine)._nodes) <= 10_000


def test_many_keys_with_a_first_row_only_are_packed_and_go_on():
    same = "A AS kind = 'a', B AS kind = 'b' AND B.i = A.i"
    engine = m1cep.Engine([match("A B", same, within="WITHIN INTERVAL '60' SECOND", measures="B.i AS i")])
    for start in range(0, 24_000, 4_000):
        engine.push("s", [event(n, k=f"k{n}", kind="a", i=2) for n in range(start, start + 4_000)])
    assert engine.counters()["r"]["open"] == 24_000
    assert len(matcher(engine)._cold) > 10_000
    rows = [event(24_000 + n, k=f"k{n}", kind="b", i=2 + n % 2) for n in range(0, 24_000, 1_999)]
    alerts = engine.push("s", rows)
    assert [a.key["k"] for a in alerts] == [f"k{n}" for n in range(0, 24_000, 1_999) if n % 2 == 0]
    engine.push("s", [event(999_000, k="other", kind="z")])
    assert engine.counters()["r"]["keys"] == 0


def test_a_first_row_waits_for_a_second_until_its_time_is_up():
    same = "A AS kind = 'a', B AS kind = 'b' AND B.i = A.i"
    rule = match("A B", same, within="WITHIN INTERVAL '0.010' SECOND", measures="B.i AS i")

    def found(*times):  # of the second row, by key; the first is at 100
        engine = m1cep.Engine([rule])
        engine.push("s", [event(100, k=f"k{t}", kind="a", i=2) for t in times])
        engine = m1cep.Engine.restore([rule], engine.snapshot())
        engine.push("s", [event(105, k="other", kind="a")])
        return [a.key["k"] for a in engine.push("s", [event(t, k=f"k{t}", kind="b", i=2) for t in times])]

    assert found(105, 109, 110, 111) == ["k105", "k109"]  # the interval itself is too long
