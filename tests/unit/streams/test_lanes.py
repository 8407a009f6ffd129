"""What a reader makes of a re-keyed topic; what the rekey agent writes to one. Records by hand, no broker."""

import json
from itertools import chain
from types import SimpleNamespace

import pytest
from faust.types import TP

from m1cep import Engine, compile_rule, parse_streams
from streams.agents.lanes import MARKER, LaneReader, Marker, origin_headers
from streams.agents.outbox import keyed_partition
from streams.agents.rekey import Forwarding, RekeyPartition
from streams.agents.risk import RiskPartition
from streams.errors import ShellError
from streams.rekey import over_lanes, rekeyed
from streams.transport import Batch

STREAMS = parse_streams("""CREATE TABLE pay (event_id STRING NOT NULL, account STRING, shop STRING, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts) PARTITIONED BY (account) WITH ('topic' = 'pay');""")
TWICE = """SELECT * FROM pay MATCH_RECOGNIZE (PARTITION BY shop ORDER BY ts MEASURES A.event_id AS a, B.event_id AS b
  PATTERN (A B) WITHIN INTERVAL '1' HOUR DEFINE A AS A.event_id > '')"""
RULE = compile_rule(TWICE, STREAMS, "twice.sql")
[BY_SHOP] = rekeyed(RULE)
COUNT = 2


def pay(name, ts_s, shop="s"):
    return {"event_id": name, "account": "a", "shop": shop, "ts": ts_s * 1000}


def sent(lane, offset, value=None, topic="pay"):
    raw = json.dumps(value or {}).encode()
    headers = ((b"of the producer", b"1"), *origin_headers(topic, lane, [offset]))
    return SimpleNamespace(offset=0, timestamp=0, key=b"s", value=raw, headers=headers)


def marker(lane, position, reached_s=None, *, idle=False, topic_id="id"):
    reached = None if reached_s is None else reached_s * 1000
    value = Marker("pay", topic_id, lane, position, reached, idle).to_json()
    return SimpleNamespace(offset=0, timestamp=0, key=None, value=value, headers=((MARKER, b""),))


def reader(**options):
    return LaneReader(BY_SHOP.topic, BY_SHOP.stream, BY_SHOP.lanes(COUNT), **options)


def offsets(steps):
    return [(step.lane, step.offsets, step.reached) for step in steps]


class TestReader:
    def test_records_are_told_apart_by_lane_each_with_the_time_that_its_lane_has_reached(self):
        steps = reader().steps([sent(1, 4), sent(0, 7), sent(1, 9), marker(1, 10, 5), sent(1, 12), marker(0, 8, 6)])
        assert offsets(steps) == [(0, [7], 6000), (1, [4, 9], 5000), (1, [12], None)]

    def test_what_a_writer_sends_once_more_is_passed_over(self):
        found = reader()
        found.steps([sent(0, 4), sent(0, 6), marker(0, 9, 5)])
        assert offsets(found.steps([sent(0, 4), sent(0, 6), marker(0, 8, 4), sent(0, 11)])) == [(0, [11], None)]
        assert found.repeated == 2

    def test_offsets_of_a_source_made_anew_begin_anew(self):
        found = reader()
        found.steps([sent(0, 40), marker(0, 41, 5)])
        assert offsets(found.steps([marker(0, 0, topic_id="other"), sent(0, 0)])) == [(0, [0], None)]

    def test_a_lane_is_silent_when_its_writer_said_so_and_nothing_came_since(self):
        found = reader()
        assert not found.silent(0, 0)  # nobody has spoken yet
        found.steps([sent(0, 4)])
        assert not found.silent(0, 5)  # its writer may only not have got further
        found.steps([marker(0, 5, 1, idle=True)])
        assert found.silent(0, 5)
        assert not found.silent(0, 6)
        assert not found.silent(0, None)
        found.steps([sent(0, 5)])
        assert not found.silent(0, 6)

    def test_begun_midway_a_lane_that_says_nothing_counts_as_silent(self):
        assert reader(midway=True).silent(0, 5)

    def test_it_goes_on_from_its_state(self):
        found, again = reader(), reader()
        found.steps([sent(0, 4), marker(0, 5, 1, idle=True), sent(1, 2)])
        again.load(json.loads(json.dumps(found.state())))
        assert again.silent(0, 5)
        assert offsets(again.steps([sent(0, 4), sent(1, 2), sent(1, 3)])) == [(1, [3], None)]

    @pytest.mark.parametrize(
        ("record", "what"),
        [
            (SimpleNamespace(offset=7, value=b"{}", headers=()), "offset 7 of m1cep.pay-by-shop.v1 was not written by M1CEP"),
            (sent(0, 1, topic="other"), "comes from other, expected pay"),
            (sent(2, 1), "comes from partition 2, expected less than 2"),
        ],
    )  # fmt: skip
    def test_records_of_others_are_refused(self, record, what):
        with pytest.raises(ShellError, match=what):
            reader().steps([record])


class TestSilence:
    """Two lanes; lane 1 has brought its last event at 10 s."""

    @pytest.fixture
    def risk(self):
        engine = Engine([over_lanes(RULE, COUNT)])
        return RiskPartition({BY_SHOP.topic: 0}, engine, {}, [reader()])

    @staticmethod
    def take(risk, *records):
        position = risk.positions[BY_SHOP.topic]
        for n, record in enumerate(records):
            record.offset = position + n
        return risk.take(Batch(BY_SHOP.topic, 0, 1, position, position + len(records), records))

    @staticmethod
    def ends(*numbers):
        return {TP("pay", lane): end for lane, end in enumerate(numbers)}

    @staticmethod
    def alerted(outcome):
        return [json.loads(m.value)["events"] for m in outcome.messages] if outcome else []

    def test_a_lane_of_which_nothing_was_heard_holds_the_others_back(self, risk):
        assert (
            self.alerted(self.take(risk, sent(0, 0, pay("a", 1)), sent(0, 1, pay("b", 2)), marker(0, 2, 2, idle=True)))
            == []
        )
        risk.before_asking()
        assert risk.sources_end(self.ends(2, 0)) is None or self.alerted(risk.sources_end(self.ends(2, 0))) == []

    def test_a_silent_lane_holds_back_only_what_came_after_the_question(self, risk):
        self.take(
            risk, marker(1, 1, 10, idle=True), sent(0, 0, pay("a", 11)), sent(0, 1, pay("b", 12)), marker(0, 2, 20)
        )
        risk.before_asking()
        # Meanwhile the other goes on; at 30 s something may have come to the silent lane, too.
        self.take(risk, sent(0, 2, pay("c", 29)), sent(0, 3, pay("d", 30)), marker(0, 4, 30))
        assert self.alerted(risk.sources_end(self.ends(4, 1))) == [["a", "b"]]
        assert self.alerted(self.take(risk, sent(1, 1, pay("x", 25)), marker(1, 2, 40), marker(0, 5, 40))) == [
            ["x", "c"]
        ]

    def test_when_all_are_silent_everything_goes(self, risk):
        self.take(risk, marker(1, 1, 10, idle=True), sent(0, 0, pay("a", 11)), sent(0, 1, pay("b", 12)))
        self.take(risk, marker(0, 2, 12, idle=True))
        risk.before_asking()
        assert self.alerted(risk.sources_end(self.ends(2, 1))) == [["a", "b"]]

    def test_not_when_something_has_come_since_the_question(self, risk):
        self.take(risk, marker(1, 1, 10, idle=True), marker(0, 0, 10, idle=True))
        risk.before_asking()
        self.take(risk, sent(0, 0, pay("a", 11)), sent(0, 1, pay("b", 12)), marker(0, 2, 12, idle=True))
        assert self.alerted(risk.sources_end(self.ends(2, 1))) == []

    def test_after_a_restart_silence_must_be_seen_anew(self, risk):
        self.take(risk, marker(1, 1, 10, idle=True), marker(0, 0, 10, idle=True))
        risk.before_asking()
        risk.sources_end(self.ends(0, 1))
        engine, found = Engine.restore(risk._engine.rules, risk._engine.snapshot()), reader()
        found.load(risk._lanes[BY_SHOP.topic].state())
        again = RiskPartition(risk.positions, engine, {}, [found])
        assert (
            self.alerted(self.take(again, sent(0, 0, pay("a", 11)), sent(0, 1, pay("b", 13)), marker(0, 2, 20))) == []
        )
        assert self.alerted(self.take(again, sent(1, 1, pay("x", 12)), marker(1, 2, 20))) == [["a", "x"]]


class TestWriter:
    @staticmethod
    def partition(state=None, *, reports=True):
        forwarding = Forwarding(BY_SHOP.stream, "id", (BY_SHOP,), COUNT, reports)
        return RekeyPartition(1, {"pay": 0}, {"pay": forwarding}, state)

    @staticmethod
    def batch(*values, first=0):
        raws = [v if isinstance(v, bytes) else json.dumps(v).encode() for v in values]
        records = [
            SimpleNamespace(offset=first + n, timestamp=0, key=b"a", value=raw, headers=(("h", b"1"),))
            for n, raw in enumerate(raws)
        ]
        return Batch("pay", 1, 1, first, first + len(records), records)

    @staticmethod
    def written(outcome):
        """By target partition: names of events, positions of markers."""
        found = {n: [] for n in range(COUNT)}
        for packet in outcome.messages:
            for _, value, headers in packet.records:
                body = json.loads(value)
                found[packet.partition].append(body["position"] if headers[-1][0] == MARKER else body["event_id"])
        return found

    def test_every_partition_hears_how_far_it_is_and_gets_its_events_as_they_were(self):
        events = [pay(f"e{n}", n, shop=f"s{n}") for n in range(20)]
        outcome = self.partition().take(self.batch(*events))
        found = self.written(outcome)
        for number in range(COUNT):
            mine = [e["event_id"] for e in events if keyed_partition(e["shop"].encode(), COUNT) == number]
            assert mine
            assert found[number] == [0, *mine, 20]
        key, value, headers = outcome.messages[-1].records[0]
        event = json.loads(value)
        assert key == event["shop"].encode()
        assert value == json.dumps(event).encode()
        assert headers == [("h", b"1"), ("m1cep-from", f"pay/1/{event['event_id'][1:]}".encode())]

    def test_lateness_does_not_depend_on_where_batches_are_cut_or_the_agent_was_restarted(self):
        events = [pay("a", 5), pay("b", 9), pay("c", 7), pay("d", 9), pay("e", 8), pay("f", 10)]
        whole = self.partition().take(self.batch(*events))
        assert whole.late.total() == 2
        for cut in range(1, len(events)):
            first = self.partition()
            late = first.take(self.batch(*events[:cut])).late.total()
            second = self.partition(first.snapshot())
            second.positions = dict(first.positions)
            assert late + second.take(self.batch(*events[cut:], first=cut)).late.total() == 2

    @pytest.mark.parametrize("reports", [True, False])
    def test_bad_and_late_records_are_not_sent_on_and_told_only_when_nobody_else_does(self, reports):
        outcome = self.partition(reports=reports).take(self.batch(pay("a", 5), b"[]", pay("b", 1)))
        told = [m for m in outcome.messages if hasattr(m, "headers")]
        assert (len(told), outcome.dead_letters, outcome.late.total()) == ((2, 1, 1) if reports else (0, 0, 0))
        outcome.messages = [m for m in outcome.messages if not hasattr(m, "headers")]
        assert list(chain(*self.written(outcome).values())).count("a") == 1
        assert "b" not in list(chain(*self.written(outcome).values()))

    def test_records_below_the_position_are_not_sent_again(self):
        partition = self.partition()
        partition.take(self.batch(pay("a", 1), pay("b", 2)))
        again = self.written(partition.take(self.batch(pay("a", 1), pay("b", 2), pay("c", 3))))
        assert sorted(chain(*again.values()), key=str) == [3, 3, "c"]
