"""Repetitions of events are dropped, whatever their time, and counted."""

import pytest

import m1cep

STREAMS = m1cep.parse_streams(
    """
    CREATE TABLE a (event_id STRING, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
      PARTITIONED BY (k) WITH ('topic' = 'a');
    CREATE TABLE numbered (event_id BIGINT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
      PARTITIONED BY (k) WITH ('topic' = 'numbered');
    CREATE TABLE nameless (k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
      PARTITIONED BY (k) WITH ('topic' = 'nameless');
    """
)


def engine(stream="a", seen=4):
    return m1cep.Engine([m1cep.compile_rule(f"SELECT k FROM {stream}", STREAMS, "rule")], seen=seen)


def event(name, ts=0, **more):
    return {"event_id": name, "k": "k", "ts": ts} | more


def found(alerts):
    return "".join(e for alert in alerts for e in alert.events)


def test_a_repetition_is_dropped_and_counted():
    run = engine()
    assert found(run.push("a", map(event, "abab"))) == "ab"
    assert found(run.push("a", map(event, "bca"))) == "c"
    assert (run.events, run.duplicates) == (3, 4)


@pytest.mark.parametrize("cut", range(1, 9))
def test_at_least_the_window_is_remembered_and_at_most_twice_as_many_whatever_the_batches(cut):
    #  window 4    a b c d | e f g h | i
    names = "abcdefghi" + "ihgfe" + "a"
    run = engine()
    assert (
        "".join(found(run.push("a", map(event, names[n : n + cut]))) for n in range(0, len(names), cut)) == "abcdefghia"
    )


def test_a_repetition_of_a_late_event_is_dropped_before_its_lateness_is_looked_at():
    run = engine()
    run.push("a", [event("a", 10), event("b", 5), event("b", 5)])
    run.push("a", [event("b", 5), event("c", 7)])
    assert [(late.index, late.row.event_id) for late in run.take_late()] == [(1, "b"), (1, "c")]
    assert run.duplicates == 2


def test_without_a_window_every_event_counts():
    assert found(engine(seen=0).push("a", map(event, "aa"))) == "aa"


@pytest.mark.parametrize(
    ("stream", "events", "kept"),
    [
        ("numbered", [event(1), event("1"), event(2)], 2),
        ("nameless", [{"k": "k", "ts": 1}, {"ts": 1, "k": "k"}, {"k": "q", "ts": 1}, {"k": "k", "ts": 2}], 3),
        ("a", [event(None, 1), event(None, 1), event(None, 2)], 2),
    ],
)
def test_an_event_without_an_id_is_known_by_its_contents(stream, events, kept):
    run = engine(stream)
    assert len(run.push(stream, events)) == kept
    assert run.duplicates == len(events) - kept


@pytest.mark.parametrize("window", [0, 1, 2, 4, 9])
def test_a_snapshot_goes_on_with_another_window(window):
    run = engine()
    run.push("a", map(event, "abcdef"))
    again = m1cep.Engine.restore(run.rules, run.snapshot(), seen=window)
    assert found(again.push("a", map(event, "fxy"))) == ("fxy" if window == 0 else "xy")
    assert again.duplicates == (window > 0)
