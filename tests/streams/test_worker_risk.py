"""A partition of the risk agent: real rules, batches made by hand, no broker."""

import json
from types import SimpleNamespace

import pytest

from m1cep import Engine, compile_rule, parse_streams
from streams.agents.risk import RiskPartition
from streams.agents.risk_state import unpacked
from streams.errors import ShellError
from streams.transport import Batch

PAY = """CREATE TABLE pay (event_id STRING NOT NULL, account STRING, qty DOUBLE, ts TIMESTAMP({unit}),
WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) PARTITIONED BY (account) WITH ('topic' = 'pay.v1');
CREATE TABLE other (event_id STRING NOT NULL, account STRING, qty DOUBLE, ts TIMESTAMP({unit}),
WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) PARTITIONED BY (account) WITH ('topic' = 'other.v1');
CREATE VIEW both AS SELECT event_id, account, qty, ts FROM pay UNION ALL SELECT event_id, account, qty, ts FROM other;
"""
START_MS = 1_700_000_000_000


def partition(rule="SELECT account, qty FROM pay WHERE qty > 100", *, unit=3, start=0, state=None):
    streams = parse_streams(PAY.format(unit=unit))
    rules = [compile_rule(rule, streams, "big.sql")]
    engine = Engine(rules) if state is None else Engine.restore(rules, unpacked(state)[0])
    topics = {streams[name].topic: streams[name] for name in engine.inputs}
    return RiskPartition(dict.fromkeys(topics, start), engine, topics)


def record(offset, value, timestamp=START_MS):
    raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    return SimpleNamespace(offset=offset, timestamp=timestamp, key=b"k", value=raw, headers=[])


def pay(n, *, qty=101, at_s=0, scale=1):
    return {"event_id": f"e{n}", "account": "a", "qty": qty, "ts": (START_MS + at_s * 1000) * scale}


def batch(*values, first=0, prev_next=None, end=None, topic="pay.v1", timestamp=START_MS):
    records = [record(first + n, value, timestamp) for n, value in enumerate(values)]
    return Batch(
        topic, 0, 1, first if prev_next is None else prev_next, records[-1].offset + 1 if end is None else end, records
    )


def alerted(outcome):
    return [json.loads(m.value)["events"][0] for m in outcome.messages if m.topic == "m1cep.alerts.v1"]


def test_a_batch_that_begins_after_the_position_is_a_hole_and_refused():
    part = partition()
    part.take(batch(pay(0), pay(1)))
    with pytest.raises(
        ShellError, match=r"records are missing: pay.v1 partition 0 is processed up to offset 2, but .* at 5"
    ):
        part.take(batch(pay(5), first=5))


def test_offsets_that_no_record_has_are_no_hole():
    """A compacted topic: the batch was read from 2 on, its first record has offset 7, and the next position is 12."""
    part = partition()
    part.take(batch(pay(0), pay(1)))
    part.take(batch(pay(7, at_s=9), first=7, prev_next=2, end=12))
    assert part.positions == {"pay.v1": 12}


def test_records_below_the_position_are_dropped():
    part = partition()
    part.take(batch(pay(0), pay(1)))
    part.take(batch(pay(0), pay(1), pay(2, at_s=5), prev_next=0))
    outcome = part.take(batch(pay(3, at_s=9), first=3))
    assert alerted(outcome) == ["e2"]
    assert part.positions == {"pay.v1": 4}


def test_a_batch_wholly_below_the_position_changes_nothing():
    part = partition()
    part.take(batch(pay(0), pay(1)))
    outcome = part.take(batch(pay(0), prev_next=0))
    assert outcome.messages == []
    assert part.positions == {"pay.v1": 2}


@pytest.mark.parametrize(
    ("record_ms", "live"), [(START_MS + 59_000, True), (START_MS + 3_600_000, False), (None, False)]
)
def test_events_are_live_when_their_records_were_written_when_they_happened(record_ms, live):
    part = partition()
    part.take(batch(pay(0), timestamp=record_ms))
    assert part.live is live
    assert unpacked(part.snapshot())[2] is live


def test_bad_and_late_events_are_reported_with_their_own_offsets():
    part = partition()
    early, late, on_time = pay(1, at_s=60, qty=1), pay(3, at_s=10), pay(4, at_s=61, qty=1)
    outcome = part.take(batch(b"bad", early, None, late, on_time, first=40, prev_next=0))
    assert (outcome.events, outcome.dead_letters, outcome.late) == (3, 2, {("pay.v1", "late"): 1})
    about = {m.topic: [] for m in outcome.messages}
    for message in outcome.messages:
        about[message.topic].append(json.loads(message.value)["offset"])
    assert about == {"m1cep.dead-letters.v1": [40, 42], "m1cep.late.v1": [43]}


def test_a_snapshot_goes_on_as_if_nothing_had_happened_also_with_rows_that_wait():
    rule = "SELECT account, qty FROM both WHERE qty > 100"
    part = partition(rule)
    part.take(batch(pay(0), pay(1, at_s=60)))
    again = partition(rule, state=part.snapshot())
    for one in (part, again):
        assert alerted(one.idle("other.v1")) == ["e0"]
        assert alerted(one.idle("pay.v1")) == ["e1"]


@pytest.mark.parametrize(("unit", "scale"), [(3, 1), (6, 1000)])
def test_the_time_of_an_alert_is_the_same_whatever_the_unit_of_its_stream(unit, scale):
    part = partition(unit=unit)
    outcome = part.take(batch(pay(0, scale=scale), pay(1, at_s=60, scale=scale)))
    assert alerted(outcome) == ["e0"]
    assert dict(outcome.messages[0].headers)["ce_time"] == b"2023-11-14T22:13:20.000Z"
    assert alerted(part.idle("pay.v1")) == ["e1"]


def test_a_join_reads_two_topics_and_tells_a_row_alone_once_both_have_gone_on():
    #  pay     0        10     60          o has 5 s to come
    #  other       3           60
    part = partition("""SELECT p.account FROM pay p LEFT JOIN other o
      ON p.account = o.account AND o.ts BETWEEN p.ts AND p.ts + INTERVAL '5' SECOND WHERE o.account IS NULL""")
    assert part.positions == {"pay.v1": 0, "other.v1": 0}
    part.take(batch(pay("p0"), pay("p10", at_s=10), pay("p60", at_s=60)))
    outcome = part.take(batch(pay("o3", at_s=3), pay("o60", at_s=60), topic="other.v1"))
    assert alerted(outcome) == ["ep10"]
    [alert] = [json.loads(m.value) for m in outcome.messages]
    assert alert["event_time"] == START_MS + 15_001


def test_a_rule_with_an_action_asks_for_it_after_its_alert():
    """Of a key that holds an account, in the account's name; a rule without one asks for nothing."""
    rule = "/*\nid: big\nseverity: high\naction: halt_grid\n*/\nSELECT account, qty FROM pay WHERE qty > 100"
    events = batch(pay(0), pay(1, qty=1, at_s=10))  # the second lets the first go
    alert, action = partition(rule).take(events).messages
    assert (alert.topic, action.topic, action.key) == ("m1cep.alerts.v1", "m1cep.actions.v1", b"a")
    found = json.loads(action.value)
    assert (found["id"], found["action"], found["account"]) == (json.loads(alert.value)["id"], "halt_grid", "a")
    assert [m.topic for m in partition().take(events).messages] == ["m1cep.alerts.v1"]
