"""Group windows. A window holds [start, end): its start is inclusive, its end exclusive. Times in seconds."""

import pytest
from letters import LETTERS, alerts, rows

import m1cep
from m1cep.model.alert import MAX_EVENT_IDS
from streams.explain import plan_lines

TUMBLE = "TUMBLE(TABLE letters, DESCRIPTOR(ts), INTERVAL '10' SECOND)"
HOP = "HOP(TABLE letters, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND)"
CUMULATE = "CUMULATE(TABLE letters, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '15' SECOND)"
SESSION = "SESSION(TABLE letters PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' SECOND)"


def rule_text(windows, *, select="", where="", having="", group="k, window_start, window_end"):
    return f"""SELECT window_start / 1000 AS s, window_end / 1000 AS e{select and ", "}{select} FROM TABLE({windows})
      {where and "WHERE " + where} GROUP BY {group} {having and "HAVING " + having}"""


# TIMESTAMPs are not divided: the stream of these tests has its event time as a plain number of milliseconds
STREAMS = m1cep.parse_streams(
    """
    CREATE TABLE letters (
      event_id STRING NOT NULL, k STRING NOT NULL, l STRING NOT NULL, v DOUBLE, ts BIGINT NOT NULL, WATERMARK FOR ts AS ts
    ) PARTITIONED BY (k) WITH ('topic' = 'letters')
    """
)


def compiled(select=""):
    """A rule for each kind of window, by its first letter."""
    kinds = zip("thcs", (TUMBLE, HOP, CUMULATE, SESSION), strict=True)
    return [m1cep.compile_rule(rule_text(windows, select=select), STREAMS, name) for name, windows in kinds]


def found(windows, events, **clauses):
    """(start, end, letters) of each alert."""
    got = alerts(rule_text(windows, **clauses), events, streams=STREAMS)
    return [(a.row["s"], a.row["e"], "".join(e[0] for e in a.events)) for a in got]


def test_tumble():
    #  t        0         9.999 10        20        35
    #           A         B     C                   D
    #           |---------------|---------|---------|-----...
    events = rows("ABCD", times=[0, 9_999, 10_000, 35_000])
    assert found(TUMBLE, events) == [(0, 10, "AB"), (10, 20, "C"), (30, 40, "D")]


def test_tumble_with_an_offset():
    #  t        0   2         9.999 10   12
    #           A                   B    C
    #      -----|---|--------------------|------
    windows = TUMBLE.replace("'10' SECOND", "'10' SECOND, INTERVAL '2' SECOND")
    assert found(windows, rows("ABC", times=[0, 10_000, 12_000])) == [(-8, 2, "A"), (2, 12, "B"), (12, 22, "C")]


def test_hop_counts_a_row_in_every_window_that_holds_it():
    #  t        -5   0    5    10   15   20
    #                A       B         C
    #           [---------)
    #                [---------)
    #                     [---------)
    #                          [---------)   ...
    events = rows("ABC", times=[0, 8_000, 18_000])
    assert found(HOP, events) == [(-5, 5, "A"), (0, 10, "AB"), (5, 15, "B"), (10, 20, "C"), (15, 25, "C")]


def test_hop_whose_size_is_no_multiple_of_its_slide():
    #  t        0   2   3   4   5   6
    #           A   B   C   D
    #           [-----------)   [-----        size 3, slide 2
    #        ---)   [-----------)
    windows = "HOP(TABLE letters, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '3' SECOND)"
    events = rows("ABCD", times=[0, 2_000, 3_000, 4_000])
    assert found(windows, events) == [(-2, 1, "A"), (0, 3, "AB"), (2, 5, "BCD"), (4, 7, "D")]


def test_hop_with_gaps_between_its_windows():
    #  t        0   1   2   3   4   5
    #           A   B       C   D
    #           [---)       [---)             size 1, slide 3
    windows = "HOP(TABLE letters, DESCRIPTOR(ts), INTERVAL '3' SECOND, INTERVAL '1' SECOND)"
    assert found(windows, rows("ABCD", times=[0, 1_000, 3_000, 4_000])) == [(0, 1, "A"), (3, 4, "C")]


def test_cumulate_grows_by_a_step_up_to_its_size():
    #  t        0    5    10   15   20   25   30
    #           A      B       C
    #           [----)         [----)
    #           [---------)    [---------)
    #           [--------------)    ...
    events = rows("ABC", times=[0, 7_000, 15_000])
    assert found(CUMULATE, events) == [
        (0, 5, "A"),
        (0, 10, "AB"),
        (0, 15, "AB"),
        (15, 20, "C"),
        (15, 25, "C"),
        (15, 30, "C"),
    ]


def test_a_session_ends_a_gap_after_its_last_row():
    #  t        0    4    9    14.001
    #           A    B    C    D            gap 5: C comes exactly 5 after B and still belongs to it, D does not
    #           [-------------------)
    #                          [---------)
    events = rows("ABCD", times=[0, 4_000, 9_000, 14_001])
    assert [w[2] for w in found(SESSION, events)] == ["ABC", "D"]
    assert [w[:2] for w in found(SESSION, events)] == [(0, 14), (14, 19)]


def test_rows_that_where_leaves_out_prolong_a_session():
    #  t        0    4    8
    #           A    B    A                 B does not count, but it is there
    events = rows("ABA", times=[0, 4_000, 8_000])
    assert found(SESSION, events, where="l = 'A'") == [(0, 13, "AA")]
    inside = SESSION.replace("TABLE letters", "(SELECT * FROM letters WHERE l = 'A')")
    assert [w[2] for w in found(inside, events)] == ["A", "A"]


def test_sessions_of_all_rows_together_with_groups_inside():
    windows = SESSION.replace("PARTITION BY k", "")
    events = sorted(
        rows("AB", key="x", times=[0, 8_000]) + rows("CD", key="y", times=[4_000, 9_000]), key=lambda r: r["ts"]
    )
    assert found(windows, events) == [(0, 14, "AB"), (0, 14, "CD")]


def test_a_window_fires_when_the_watermark_reaches_its_end():
    #  comes    9        10 (another key)
    #  window   [0, 10) is complete with the second: nothing before 10 can come any more
    engine = m1cep.Engine([m1cep.compile_rule(rule_text(TUMBLE), STREAMS)])
    assert engine.push("letters", rows("A", times=[9_000])) == []
    [alert] = engine.push("letters", rows("B", key="other", times=[10_000]))
    assert alert.events == ["A0"]
    assert alert.event_time == 9_999
    assert alert.key == {"k": "k"}


def test_silent_keys_leave_and_fire_nothing_twice():
    engine = m1cep.Engine(compiled())
    for i in range(20):
        engine.push("letters", rows("A", key=f"k{i}", times=[i]))
    got = engine.push("letters", rows("B", times=[100_000]))
    assert len(got) == 20 * (1 + 2 + 3 + 1)
    assert {name: counts["groups"] for name, counts in engine.counters().items()} == dict.fromkeys("thcs", 1)


def test_alerts_of_a_window_come_in_order_of_its_keys_first_rows():
    events = [rows("A", key=k, times=[t])[0] for t, k in enumerate("bcacab")]
    got = alerts(rule_text(TUMBLE), events, streams=STREAMS)
    assert [a.key["k"] for a in got] == ["b", "c", "a"]


def test_ids_tell_windows_apart_that_hold_the_same_events():
    got = alerts(rule_text(HOP), rows("A", times=[7_000]), streams=STREAMS)
    assert [a.events for a in got] == [["A0"], ["A0"]]
    assert len({a.id for a in got}) == 2


def test_an_alert_names_the_oldest_and_the_newest_events():
    events = rows("A" * 1_500, times=list(range(1_500)))
    for windows in (TUMBLE, HOP, CUMULATE, SESSION):
        alert = alerts(rule_text(windows, select="COUNT(*) AS n"), events, streams=STREAMS)[-1]
        half = MAX_EVENT_IDS // 2
        assert alert.row["n"] == 1_500
        assert alert.events == [f"A{i}" for i in (*range(half), *range(1_500 - half, 1_500))]


def test_events_that_no_aggregate_counts_are_not_named():
    having = "COUNT(*) FILTER (WHERE l = 'A') > 0"
    assert found(TUMBLE, rows("ABA"), having=having) == [(0, 10, "AA")]


def test_aggregates_and_expressions_over_them():
    select = """COUNT(*) AS n, COUNT(v) AS c, SUM(v) * 2 AS twice, AVG(v) AS mean, MIN(v) AS low, MAX(l) AS last,
      COUNT(DISTINCT l) AS letters, SUM(DISTINCT v) AS d, STDDEV(v) AS dev, VAR_POP(v) AS var,
      SUM(v) FILTER (WHERE l = 'B') AS b, CASE WHEN COUNT(*) > 3 THEN 'many' ELSE k END AS word"""
    [alert] = alerts(rule_text(TUMBLE, select=select), rows("ABAB", values=[1, 2, 4, None]), streams=STREAMS)
    row = alert.row
    assert (row["n"], row["c"], row["twice"], row["low"], row["last"], row["letters"]) == (4, 3, 14, 1, "B", 2)
    assert (row["d"], row["b"], row["word"]) == (7, 2, "many")
    assert row["mean"] == pytest.approx(7 / 3)
    assert row["dev"] == pytest.approx(1.5275252316519468)
    assert row["var"] == pytest.approx(14 / 9)


def test_nothing_to_aggregate_is_null():
    [alert] = alerts(
        rule_text(TUMBLE, select="SUM(v) AS t, MIN(v) AS m, STDDEV(v) AS d, COUNT(v) AS c"),
        rows("A", values=[None]),
        streams=STREAMS,
    )
    assert [alert.row[c] for c in "tmdc"] == [None, None, None, 0]


def test_an_outer_where_filters_as_having_does():
    text = f"""SELECT w.k, w.n FROM (SELECT k, COUNT(*) AS n FROM TABLE({TUMBLE}) GROUP BY k, window_start, window_end) AS w
      WHERE w.n > 1"""
    assert [a.row for a in alerts(text, rows("ABC", times=[0, 1, 10_000]), streams=STREAMS)] == [{"k": "k", "n": 2}]


def test_without_a_key_all_rows_are_one_group():
    events = rows("A", key="x") + rows("B", key="y")
    [alert] = alerts(rule_text(TUMBLE, group="window_end, window_start"), events, streams=STREAMS)
    assert alert.key == {}
    assert alert.events == ["A0", "B0"]


def test_named_arguments_parameters_and_an_alias():
    text = """/*
params: {size: 10 s, least: 2}
*/
SELECT w.k, COUNT(*) AS n FROM TABLE(HOP(DATA => TABLE letters, TIMECOL => DESCRIPTOR(ts), SIZE => :size,
  SLIDE => INTERVAL '5' SECOND)) AS w GROUP BY w.k, w.window_start, w.window_end HAVING COUNT(*) >= :least"""
    assert [a.row["n"] for a in alerts(text, rows("AB", times=[0, 8_000]), streams=STREAMS)] == [2]


def test_suppress_counts_event_time():
    text = "/*\nsuppress: 10 s\n*/" + rule_text(HOP)
    #  windows that end at 5, 10, 15, 20: those within 10 s of an alert are quiet
    assert [a.row["e"] for a in alerts(text, rows("AB", times=[0, 10_000]), streams=STREAMS)] == [5, 15]


def test_a_window_over_a_view():
    streams = m1cep.parse_streams(
        """
        CREATE TABLE a (event_id STRING, k STRING, ts TIMESTAMP(6), WATERMARK FOR ts AS ts)
          PARTITIONED BY (k) WITH ('topic' = 'a');
        CREATE TABLE b (event_id STRING, k STRING, ts TIMESTAMP(6), WATERMARK FOR ts AS ts)
          PARTITIONED BY (k) WITH ('topic' = 'b');
        CREATE VIEW v AS SELECT event_id, k, 'a' AS src, ts FROM a UNION ALL SELECT event_id, k, 'b' AS src, ts FROM b;
        """
    )
    text = """SELECT k, window_end, COUNT(DISTINCT src) AS n FROM TABLE(TUMBLE(TABLE v, DESCRIPTOR(ts), INTERVAL '1' SECOND))
      GROUP BY k, window_start, window_end"""
    engine = m1cep.Engine([m1cep.compile_rule(text, streams)])
    got = engine.push("a", [{"event_id": "x", "k": "k", "ts": 1}])
    got += engine.push("b", [{"event_id": "y", "k": "k", "ts": 999_999}, {"event_id": "z", "k": "k", "ts": 1_000_000}])
    got += engine.push("a", [{"event_id": "w", "k": "k", "ts": 1_000_000}])
    assert [(a.row, a.events, a.event_time) for a in got] == [
        ({"k": "k", "window_end": 1_000_000, "n": 2}, ["x", "y"], 999_999)
    ]


def test_a_restored_engine_goes_on_in_the_middle_of_a_window():
    rules = compiled("SUM(v) AS v, COUNT(DISTINCT l) AS d")
    events = rows("ABAACAB", times=[0, 4_000, 9_000, 9_500, 13_000, 21_000, 40_000])
    engine, whole = m1cep.Engine(rules), m1cep.Engine(rules)
    got = []
    for event in events:
        got += engine.push("letters", [event])
        engine = m1cep.Engine.restore(rules, engine.snapshot())
    assert got + engine.finish() == whole.push("letters", events) + whole.finish()


def test_the_plan_says_which_windows():
    lines = {rule.id: plan_lines(rule) for rule in compiled()}
    assert "windows of 10000 ms, one after the other" in lines["t"]
    assert "windows of 10000 ms, one every 5000 ms" in lines["h"]
    assert "windows that grow by 5000 ms up to 15000 ms" in lines["c"]
    assert "sessions of k, over after 5000 ms without a row" in lines["s"]


def refused(text):
    with pytest.raises(m1cep.RuleError) as caught:
        m1cep.compile_rule(text, LETTERS, "r.sql")
    return caught.value


FROM = f"SELECT k, COUNT(*) AS n FROM TABLE({TUMBLE})"
GROUP = " GROUP BY k, window_start, window_end"


@pytest.mark.parametrize(
    ("text", "at", "message", "hint"),
    [
        (FROM, "TUMBLE", "expects GROUP BY", "window_start, window_end"),
        (FROM + " HAVING COUNT(*) > 1", "COUNT(*) > 1", "HAVING expects GROUP BY", "window_start, window_end"),
        (FROM + " GROUP BY k, window_start", "k, window_start", "must have window_end", "window_start, window_end"),
        (FROM + " GROUP BY k, window_end", "k, window_end", "must have window_start", ""),
        (FROM + GROUP + ", window_time", "window_time", "window_time is not supported", "window_end less one"),
        (FROM + " WHERE COUNT(*) > 1" + GROUP, "COUNT(*) > 1", "an aggregate cannot stand in WHERE", "HAVING"),
        (FROM + " GROUP BY UPPER(k), window_start, window_end", "UPPER(k)", "GROUP BY expects columns", ""),
        (FROM + " GROUP BY ROLLUP (k), window_start, window_end", "", "GROUP BY expects columns", ""),
        (FROM + " GROUP BY kk, window_start, window_end", "kk", "no column 'kk'", "did you mean 'k'"),
        (FROM.replace("k,", "k, l,") + GROUP, "l,", "'l' is neither in GROUP BY nor inside an aggregate", "MAX(l)"),
        (FROM.replace("k,", "*,") + GROUP, "", "* cannot stand in a SELECT with GROUP BY", "name the columns"),
        (FROM.replace("k,", "window_time AS t,") + GROUP, "window_time", "window_time is not supported", "event_time"),
        (FROM + GROUP + " HAVING n > 1", "n > 1", "no column 'n' in HAVING", "write the aggregate again"),
        (FROM + GROUP + " HAVING v > 1", "v > 1", "'v' is neither in GROUP BY nor inside an aggregate", "MAX(v)"),
        (FROM + GROUP + " HAVING COUNT(*)", "", "expected a condition in HAVING", ""),
        (FROM + GROUP + " ORDER BY n", "", "ORDER BY is not supported", ""),
        (FROM.replace("COUNT(*)", "SUM(l)") + GROUP, "SUM(l)", "SUM expects numeric, got STRING", ""),
        (FROM.replace("COUNT(*)", "SUM(COUNT(*))") + GROUP, "COUNT", "an aggregate cannot stand in SUM(...)", ""),
        (FROM.replace("COUNT(*)", "COUNT(DISTINCT k, l)") + GROUP, "", "expects one argument", "CONCAT"),
        (FROM.replace("COUNT(*)", "COUNT(*) OVER (ORDER BY ts)") + GROUP, "", "OVER cannot stand", ""),
        (
            FROM.replace("DESCRIPTOR(ts)", "DESCRIPTOR(v)") + GROUP,
            "v)",
            "windows are over event time",
            "DESCRIPTOR(ts)",
        ),
        (FROM.replace("DESCRIPTOR(ts)", "ts") + GROUP, "ts", "expected DESCRIPTOR(event time)", ""),
        (
            FROM.replace("TUMBLE", "TUMBEL") + GROUP,
            "TUMBEL",
            "no window table function TUMBEL",
            "did you mean 'TUMBLE'",
        ),
        (FROM.replace("letters", "leters") + GROUP, "leters", "no stream 'leters'", "did you mean 'letters'"),
        (FROM.replace("INTERVAL '10' SECOND", "10") + GROUP, "10", "size expects an INTERVAL", "INTERVAL '1' MINUTE"),
        (FROM.replace("'10'", "'0'") + GROUP, "", "size must be positive", ""),
        (FROM.replace("'10'", "'0.0001'") + GROUP, "", "whole number of ms", ""),
        (FROM.replace("TUMBLE", "HOP") + GROUP, "", "HOP expects size", "slide, size"),
        (
            FROM.replace("TUMBLE", "SESSION").replace("SECOND", "SECOND, INTERVAL '1' DAY") + GROUP,
            "",
            "unexpected argument",
            "",
        ),
        (FROM.replace("TABLE letters", "TABLE letters PARTITION BY k") + GROUP, "", "belongs to SESSION", "GROUP BY"),
        (
            FROM.replace(TUMBLE, "CUMULATE(TABLE letters, DESCRIPTOR(ts), INTERVAL '4' SECOND, INTERVAL '10' SECOND)")
            + GROUP,
            "'10'",
            "must be a multiple of its step",
            "",
        ),
        (
            FROM.replace(TUMBLE, "HOP(TABLE letters, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '1' DAY)") + GROUP,
            "",
            "every row would be in 86,400 windows",
            "larger steps",
        ),
        (
            FROM.replace(TUMBLE, SESSION.replace("BY k", "BY l")) + GROUP,
            "",
            "must be in GROUP BY",
            "",
        ),
        (f"SELECT k FROM TABLE({TUMBLE}) MATCH_RECOGNIZE (ORDER BY ts PATTERN (A))", "", "", ""),
        (f"SELECT k FROM letters WHERE v > (SELECT COUNT(*) FROM TABLE({TUMBLE}))", "", "not supported", ""),
        ("SELECT k FROM letters GROUP BY k", "k", "GROUP BY is not supported", "TABLE(TUMBLE("),
        ("SELECT k FROM letters HAVING COUNT(*) > 1", "", "HAVING is not supported", "TABLE(TUMBLE("),
    ],
)
def test_refusal(text, at, message, hint):
    error = refused(text)
    assert message in error.message
    assert hint in error.hint
    assert text[error.offset :].startswith(at)
