"""Order, lateness, several streams. Times in seconds from the first event unless said otherwise."""

import random

import pytest

import m1cep

STREAMS = m1cep.parse_streams(
    """
    CREATE TABLE a (event_id STRING, k STRING, v DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '3' SECOND)
      PARTITIONED BY (k) WITH ('topic' = 'a');
    CREATE TABLE b (event_id STRING, k STRING, v DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
      PARTITIONED BY (k) WITH ('topic' = 'b');
    CREATE VIEW both_ AS SELECT event_id, k, 'a' AS src, v, ts FROM a UNION ALL SELECT event_id, k, 'b' AS src, v, ts FROM b;
    """
)


def engine(text):
    return m1cep.Engine([m1cep.compile_rule(text, STREAMS, "rule")])


def events(*seconds, prefix="e"):
    return [{"event_id": f"{prefix}{s}", "k": "k", "v": s, "ts": s * 1000} for s in seconds]


def ids(alerts):
    return [e for alert in alerts for e in alert.events]


def test_rows_wait_for_their_streams_lateness_and_go_in_order():
    #  comes   5   9   7   6        watermark 2, 6, 6, 6
    run = engine("SELECT k FROM a")
    assert ids(run.push("a", events(5))) == []
    assert ids(run.push("a", events(9))) == ["e5"]
    assert ids(run.push("a", events(7, 6))) == ["e6"]
    assert ids(run.finish()) == ["e7", "e9"]


def test_a_row_behind_the_watermark_is_late_and_not_lost_from_sight():
    run = engine("SELECT k FROM a")
    run.push("a", events(10))
    assert run.push("a", events(12, 8)) == []  # watermark 9 after 12: 8 is late even within one batch
    [late] = run.take_late()
    assert (late.stream, late.index, late.row.event_id, late.watermark, late.reason) == ("a", 1, "e8", 9000, "late")
    assert run.late_events == 1
    assert run.take_late() == []


def test_rows_of_the_same_time_are_never_late_to_each_other():
    run = engine("SELECT k FROM b")
    assert len(run.push("b", events(5, 5)) + run.push("b", events(5))) == 3
    assert run.take_late() == []


def test_without_delay_there_is_no_wait():
    assert len(engine("SELECT k FROM b").push("b", events(5))) == 1


def test_streams_are_merged_by_event_time():
    run = engine("SELECT src, v FROM both_")
    found = run.push("a", events(1, 4, 20)) + run.push("b", events(2, 3, 30)) + run.finish()
    assert [(a.row["src"], a.row["v"]) for a in found] == [("a", 1), ("b", 2), ("b", 3), ("a", 4), ("a", 20), ("b", 30)]


def test_a_stream_without_events_holds_the_others_back_until_it_is_idle():
    run = engine("SELECT src, v FROM both_")
    assert run.push("b", events(5, 6, 7)) == []
    assert [a.row["v"] for a in run.idle("a")] == [5, 6]  # 7 could still be joined by another event at 7
    assert [a.row["v"] for a in run.idle("b")] == [7]  # all are idle: nobody to wait for


def test_what_an_idle_stream_brings_too_late_is_late():
    run = engine("SELECT src, v FROM both_")
    run.idle("a")
    run.push("b", events(50))
    assert run.push("a", events(40)) == []
    assert [late.reason for late in run.take_late()] == ["idle"]


@pytest.mark.parametrize(("first", "second"), ["ab", "ba"])
def test_a_pattern_across_streams(first, second):
    text = f"""SELECT * FROM both_ MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES X.v AS x, Y.v AS y
      PATTERN (X Y) WITHIN INTERVAL '10' SECOND DEFINE X AS X.src = '{first}', Y AS Y.src = '{second}' AND Y.v > X.v)"""
    run = engine(text)
    assert [a.row for a in run.push(second, events(2)) + run.push(first, events(1)) + run.finish()] == [
        {"k": "k", "x": 1.0, "y": 2.0}
    ]


def test_an_event_without_an_id_is_named_by_its_contents():
    event = {"k": "k", "v": 1, "ts": 1000}
    one = engine("SELECT k FROM b").push("b", [event])
    two = engine("SELECT k FROM b").push("b", [dict(reversed(event.items()))])
    other = engine("SELECT k FROM b").push("b", [event | {"v": 2}])
    assert one == two
    assert one[0].id != other[0].id


def test_ids_tell_rules_versions_and_events_apart():
    texts = ["SELECT k FROM b", "SELECT k FROM b ", "/*\nid: x\n*/SELECT k FROM b"]
    found = {alert.id for t in texts for s in (1, 2) for alert in engine(t).push("b", events(s))}
    assert len(found) == 6


def test_rules_on_a_stream_and_on_a_view_of_it_do_not_disturb_each_other():
    #  comes   12  10   5       watermark 9: 5 is late, for both rules, at its place in the batch
    texts = ["SELECT k FROM a", "SELECT src FROM both_"]
    rules = [m1cep.compile_rule(text, STREAMS, f"r{n}") for n, text in enumerate(texts)]
    run = m1cep.Engine(rules)
    found = run.push("a", events(12, 10, 5)) + run.finish()
    assert [(late.index, late.row.event_id, late.reason) for late in run.take_late()] == [(2, "e5", "late")]
    for n in range(2):
        assert [e for a in found if a.rule == f"r{n}" for e in a.events] == ["e10", "e12"]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("source", ["a", "both_"])
@pytest.mark.parametrize("restored", [False, True])
def test_rows_go_in_order_whatever_the_disorder_the_batches_and_the_snapshots(source, seed, restored):
    rng = random.Random(seed)
    comes = sorted(range(60), key=lambda s: s + rng.uniform(0, 3))  # nobody later than the delay of three seconds
    comes[20:40] = sorted(comes[20:40])  # order, disorder and order again
    run = engine(f"SELECT k FROM {source}")
    run.idle("b") if source == "both_" else None
    found = []
    while comes:
        cut = rng.randrange(1, 12)
        found += ids(run.push("a", events(*comes[:cut])))
        comes = comes[cut:]
        if restored:
            run = m1cep.Engine.restore(run.rules, run.snapshot())
    assert found + ids(run.finish()) == [f"e{s}" for s in range(60)]
    assert run.take_late() == []


ALONE = """SELECT k, x FROM {source} MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES X.v AS x
  PATTERN (X ABSENT(Y)) WITHIN INTERVAL '10' SECOND DEFINE X AS X.v < 100, Y AS Y.v >= 100)"""


def test_time_goes_on_in_silence():
    #  b    1 ......... 11 (time-out)
    run = engine(ALONE.format(source="b"))
    assert run.newest_us is None
    run.push("b", events(1))
    assert run.newest_us == 1_000_000
    assert run.advance(10_999_999) == []
    [alert] = run.advance(11_001_000)
    assert (alert.event_time, alert.events) == (11_000, ["e1"])
    assert run.newest_us == 11_001_000
    assert run.advance(0) == []
    assert run.newest_us == 11_001_000  # time never goes back


def test_an_absence_is_told_as_soon_as_its_time_is_up_however_often_it_began_anew():
    #  b    1 4 7 10 ......... 20 (time-out of the last)
    run = engine(ALONE.format(source="b").replace("DEFINE X AS X.v < 100, Y AS Y.v >= 100", ""))
    for second in (1, 4, 7, 10):
        assert run.push("b", events(second)) == []
    for second in range(11, 20):
        assert run.advance(second * 1_000_000) == []
    assert ids(run.advance(20_000_000)) == ["e10"]


def test_windows_end_in_silence_as_they_would_with_a_later_event():
    text = """SELECT k, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '10' SECOND))
      GROUP BY k, window_start, window_end"""
    silent, lively = engine(text), engine(text)
    for run in (silent, lively):
        assert run.push("a", events(1, 4)) == []
    assert silent.advance(10_000_000) == lively.push("a", [{"event_id": "z", "k": "z", "v": 0, "ts": 13_000}])
    assert silent.counters()["rule"]["alerts"] == 1


def test_what_comes_after_its_time_was_taken_to_have_passed_is_late_by_silence():
    run = engine("SELECT k FROM a")
    run.push("a", events(1))
    assert ids(run.advance(20_000_000)) == ["e1"]
    assert ids(run.push("a", events(20, 19, 25, 21))) == ["e20"]  # 25 less 3: the watermark is 22
    assert [(late.row.event_id, late.reason, late.watermark) for late in run.take_late()] == [
        ("e19", "silence", 20_000),
        ("e21", "late", 22_000),
    ]


def test_the_promise_of_time_is_part_of_a_snapshot():
    run = engine("SELECT k FROM b")
    run.advance(20_000_000)
    again = m1cep.Engine.restore(run.rules, run.snapshot())
    assert again.newest_us == 20_000_000
    assert again.push("b", events(19)) == []
    assert [late.reason for late in again.take_late()] == ["silence"]


def test_rows_that_wait_for_another_stream_are_counted_for_those_that_may_wait():
    #  b   5 6 7     nothing of a: b waits for a
    run = engine("SELECT src, v FROM both_")
    run.push("b", events(5, 6, 7))
    assert (run.waiting("a"), run.waiting("b")) == (0, 3)
    run.push("a", events(8))  # watermark 5
    assert (run.waiting("a"), run.waiting("b")) == (0, 3)
    run.push("a", events(30))
    assert (run.waiting("a"), run.waiting("b")) == (2, 0)  # now b is the one that holds back
    run.idle("a")
    assert (run.waiting("a"), run.waiting("b")) == (0, 0)


def test_a_stream_that_waits_for_its_own_lateness_is_never_left_unread():
    run = engine("SELECT k FROM a")
    run.push("a", events(1, 2, 3))
    assert run.waiting("a") == 0
