"""Time in silence never makes an event late that was merely on its way, whatever the traffic; and it does go on."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m1cep import Engine, compile_rule, parse_streams
from streams.agents.ahead import Ahead
from streams.agents.clock import SilenceClock

SILENCE_S = 2.0
TICK_S = 0.1
PARTITIONS = 3
# When events are written: after a pause, at a pace of event time per second of the clock (at least 1), to a partition, and how
# much of ``silence`` their delivery takes.
writes = st.lists(
    st.tuples(
        st.sampled_from([0, 0.1, 0.7, 1.5, 2.5, 8]),
        st.sampled_from([1, 1, 1.1, 3, 500]),
        st.integers(0, PARTITIONS - 1),
        st.sampled_from([0, 0.2, 0.7, 0.99]),
    ),
    max_size=30,
)


@given(writes, st.lists(st.floats(0, 100), max_size=2))
def test_no_event_that_arrives_within_the_silence_comes_before_the_time_it_was_taken_for(written, restarts):
    deliveries, wall_s, event_s = [], 0.0, 1000.0
    for pause_s, pace, partition, delay in written:
        wall_s += pause_s
        event_s += pause_s * pace
        deliveries.append((wall_s + delay * SILENCE_S, partition, event_s))
    deliveries.sort()
    clock, newest, promised, now_s = SilenceClock(SILENCE_S), {}, {}, 0.0
    clock.start(dict.fromkeys(range(PARTITIONS)), 0.0, range(PARTITIONS))
    restarts = sorted(restarts)
    while deliveries:
        now_s += TICK_S
        while restarts and restarts[0] <= now_s:
            restarts.pop(0)
            clock.start({p: newest.get(p) for p in range(PARTITIONS)}, now_s, range(PARTITIONS))
        while deliveries and deliveries[0][0] <= now_s:
            _, partition, event_s = deliveries.pop(0)
            event_us = math.ceil(event_s * 1e6)
            assert event_us >= promised.get(partition, 0)
            newest[partition] = max(newest.get(partition, 0), event_us)
            clock.heard(partition, newest[partition], now_s, live=True)
        clock.look(now_s)
        for partition in range(PARTITIONS):
            if (time_us := clock.time_us(partition, now_s, now_s)) is not None:
                promised[partition] = max(promised.get(partition, 0), time_us)
    # ... and when all is silent, time goes on everywhere that it has begun.
    for _ in range(100):
        now_s += TICK_S
        clock.look(now_s)
    for partition, newest_us in newest.items():
        assert clock.time_us(partition, now_s, now_s) >= newest_us + (10 - SILENCE_S - 2 * TICK_S) * 1e6


DELAYS_S = {"a": 0, "b": 30, "c": 1}
STREAMS = parse_streams(
    "".join(
        f"""CREATE TABLE {name} (event_id STRING, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '{delay}' SECOND)
        PARTITIONED BY (k) WITH ('topic' = '{name}');"""
        for name, delay in DELAYS_S.items()
    )
    + """CREATE VIEW ab AS SELECT event_id, k, ts FROM a UNION ALL SELECT event_id, k, ts FROM b;
    CREATE VIEW bc AS SELECT event_id, k, ts FROM b UNION ALL SELECT event_id, k, ts FROM c;
    CREATE VIEW ca AS SELECT event_id, k, ts FROM c UNION ALL SELECT event_id, k, ts FROM a;"""
)
RULES = [compile_rule(f"SELECT k, event_id FROM {view}", STREAMS, view) for view in ("ab", "bc", "ca")]


@given(
    st.fixed_dictionaries({name: st.lists(st.integers(0, 60), max_size=40) for name in "abc"}),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 6)), max_size=60),
)
@pytest.mark.parametrize("limit", [1, 4])
def test_topics_that_are_ahead_wait_within_bounds_and_nothing_stands_still(limit, gaps, order):
    backlog = {}
    for name, pauses in gaps.items():
        time_s = 0
        backlog[name] = [
            {"event_id": f"{name}{n}", "k": "k", "ts": (time_s := time_s + pause) * 1000}
            for n, pause in enumerate(pauses)
        ]
    once, engine, ahead, most = Engine(RULES), Engine(RULES), Ahead(limit), 6
    expected = [alert for name, events in backlog.items() for alert in once.push(name, events)] + once.finish()
    assert once.late_events == 0
    found, held, read = [], frozenset(), {name: [] for name in backlog}
    own = dict.fromkeys(backlog, 0)  # rows that a stream keeps for its own delay: nobody can spare them
    turns = iter(order)
    while any(backlog.values()):
        for name in [n for n, events in backlog.items() if not events]:
            found += engine.idle(name)
            held = ahead.of((n, engine.waiting(n)) for n in backlog)
        for n, times in read.items():
            if times and not engine.waiting(n):
                own[n] = sum(time_ms >= times[-1] - DELAYS_S[n] * 1000 for time_ms in times)
        unread = [name for name, events in backlog.items() if events and name not in held]
        assert unread, "everything that has events is held back"
        name, count = next(turns, (unread[0], most))
        if name not in unread:
            name = unread[-1]
        batch, backlog[name] = backlog[name][:count], backlog[name][count:]
        found += engine.push(name, batch)
        held = ahead.of((n, engine.waiting(n)) for n in backlog)
        read[name] += [event["ts"] for event in batch]
        assert all(engine.waiting(n) <= own[n] + limit + most for n in backlog)
    found += engine.finish()
    assert sorted(a.id for a in found) == sorted(a.id for a in expected)
