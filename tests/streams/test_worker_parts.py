"""The parts of a worker that need no broker: what is acknowledged, what is idle, what is written, what is given out first."""

import asyncio
import base64
from contextlib import nullcontext
from types import SimpleNamespace

import orjson
import pytest
from aiokafka.consumer.fetcher import FetchError, FetchResult
from aiokafka.errors import NoOffsetForPartitionError
from aiokafka.structs import TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP

from m1cep import Alert
from streams import codec
from streams.agents.acks import Acknowledgements, acknowledged
from streams.agents.idle import IdleWatch
from streams.agents.stats import AgentStats, StatsFile
from streams.agents.watchdog import StandingStill
from streams.transport import EndOfPartition, Start
from streams.transport.app import BatchConsumer
from streams.transport.records import PlainRecords
from streams.transport.thread import BatchConsumerThread


def in_loop(test):
    """Runs a coroutine function as a test."""

    def run():
        asyncio.run(test())

    run.__name__ = test.__name__
    return run


def futures(count):
    return [asyncio.get_running_loop().create_future() for _ in range(count)]


# -- acknowledgements: a snapshot waits for what left before it, and for nothing else


@in_loop
async def test_only_what_was_on_its_way_is_waited_for():
    acks = Acknowledgements()
    first, second, later = futures(3)
    acks.add([first, second])
    waiting = asyncio.ensure_future(acknowledged(acks.pending()))
    acks.add([later])
    first.set_result(None)
    await asyncio.sleep(0)
    assert not waiting.done()
    second.set_result(None)
    await waiting
    acks.check()
    assert len(acks) == 1


async def check(acks, _pending):
    acks.check()


async def send_more(acks, _pending):
    acks.add([])


async def wait(_acks, pending):
    await acknowledged(pending)


@pytest.mark.parametrize("meet", [check, send_more, wait])
def test_a_refused_message_is_raised_wherever_it_is_met_first(meet):
    async def run():
        acks = Acknowledgements()
        (refused,) = futures(1)
        acks.add([refused])
        pending = acks.pending()
        refused.set_exception(OSError("refused"))
        await meet(acks, pending)

    with pytest.raises(OSError, match="refused"):
        asyncio.run(run())


# -- idle: at the end for the timeout, by answers of the broker


def watch(*steps, timeout_s=0.1):
    """Feeds (now, position, end, answer) and gives the times at which the partition became idle."""
    idle = IdleWatch(timeout_s)
    return [
        now
        for now, position, end, answer in steps
        if idle.became_idle(("t", 0), position, None if end is None else EndOfPartition(end, answer), now)
    ]


def test_idle_after_the_timeout_at_the_end_and_only_once():
    assert watch((0.0, 5, 5, 1), (0.05, 5, 5, 2), (0.1, 5, 5, 3), (0.2, 5, 5, 4)) == [0.1]


def test_a_topic_that_never_had_a_record_becomes_idle_too():
    assert watch((0.0, 0, 0, 1), (0.15, 0, 0, 2)) == [0.15]


def test_not_idle_while_records_are_known_to_wait():
    assert watch((0.0, 5, 9, 1), (0.2, 5, 9, 2), (0.4, 5, 9, 3)) == []


def test_not_idle_by_an_answer_that_is_old():
    assert watch((0.0, 5, 5, 1), (0.2, 5, 5, 1), (9.0, 5, 5, 1), (9.1, 5, 5, 2)) == [9.1]


def test_not_idle_before_the_broker_has_answered():
    assert watch((0.0, 5, None, 0), (1.0, 5, None, 0)) == []


def test_a_record_in_between_starts_the_clock_again():
    assert watch((0.0, 5, 5, 1), (0.08, 6, 6, 2), (0.12, 6, 6, 3), (0.2, 6, 6, 4)) == [0.2]
    assert watch((0.0, 5, 5, 1), (0.1, 5, 5, 2), (0.5, 6, 6, 3), (0.75, 6, 6, 4)) == [0.1, 0.75]


# -- what is written


def source(value, **more):
    fields = {"topic": "t", "partition": 3, "offset": 7, "timestamp": 1_700_000_000_123, "key": b"k"} | more
    return codec.Source(**fields, value=value)


def letter(value, **more):
    message = codec.dead_letter(source(value, **more), "why", "/m1cep/test", column="c")
    return message, orjson.loads(message.value), dict(message.headers)


def test_a_dead_letter_says_where_why_and_what():
    message, body, headers = letter(b'{"a": 1}')
    assert message.topic == codec.DEAD_LETTERS
    assert message.key == b"t/3"
    assert body == {
        "topic": "t",
        "partition": 3,
        "offset": 7,
        "timestamp": 1_700_000_000_123,
        "key": "k",
        "column": "c",
        "reason": "why",
        "raw": '{"a": 1}',
        "encoding": "utf-8",
        "length": 8,
        "note": None,
    }
    assert headers["ce_id"] == b"t/3/7"
    assert headers["ce_time"] == b"2023-11-14T22:13:20.123Z"


def test_bytes_that_are_no_text_are_kept_in_base64():
    _, body, _ = letter(b"\xff\x00")
    assert body["encoding"] == "base64"
    assert base64.b64decode(body["raw"]) == b"\xff\x00"


def test_a_long_record_is_cut_between_characters_and_says_so():
    raw = b"x" + "é".encode() * 40_000
    _, body, _ = letter(raw)
    assert body["encoding"] == "utf-8"
    assert body["raw"] == "x" + "é" * 32_767
    assert body["length"] == len(raw)
    assert body["note"] == "cut after 65536 of 80001 bytes"


def test_a_time_beyond_the_calendar_is_left_out():
    assert "ce_time" not in letter(b"x", timestamp=10**17)[2]
    assert "ce_time" not in letter(b"x", timestamp=None)[2]


def test_an_alert_too_long_for_kafka_becomes_a_dead_letter_that_names_it():
    alert = Alert(
        id="id1", rule="r", severity="low", key={"k": "a"}, row={"x": "y" * 2_000_000}, event_time=1, events=[]
    )
    message = codec.alert_message(alert, 1, "/m1cep/test")
    body = orjson.loads(message.value)
    assert message.topic == codec.DEAD_LETTERS
    assert len(message.value) < 100_000
    assert body["reason"].startswith("alert id1 of rule r has 2000")
    assert dict(message.headers)["ce_id"] == b"alert/id1"


# -- what the fetcher gives out


def fetched(size):
    records = SimpleNamespace(size_in_bytes=lambda: size)
    return FetchResult(None, assignment=None, partition_records=SimpleNamespace(_records=records), backoff=0)


def test_partitions_with_little_to_give_are_given_out_first_and_errors_before_them():
    table = PlainRecords({"a", "b"})
    busy, quiet, broken = TopicPartition("a", 0), TopicPartition("b", 0), TopicPartition("b", 1)
    table[busy] = fetched(1_000_000)
    table[quiet] = fetched(200)
    table[broken] = FetchError(error=OSError(), backoff=0)
    assert list(table.keys()) == [broken, quiet, busy]
    del table[quiet]
    assert list(table.keys()) == [broken, busy]


# -- the stats file


def test_the_stats_file_is_one_json_object_and_nothing_is_left_beside_it(tmp_path):
    file = tmp_path / "stats.json"
    stats = AgentStats()
    writer = StatsFile(file)
    writer.write({"risk": stats})
    assert orjson.loads(file.read_bytes())["ready"] is False
    stats.state = "ready"
    stats.events["t"] = 5
    stats.alerts["r"] = 2
    writer.write({"risk": stats})
    found = orjson.loads(file.read_bytes())
    assert found["ready"] is True
    assert found["agents"]["risk"]["events"] == 5
    assert found["agents"]["risk"]["alerts_by_rule"] == {"r": 2}
    assert list(tmp_path.iterdir()) == [file]


# -- the watchdog: which partitions stand still


def standing(*steps, allowed_s=10):
    """Feeds (now, positions, ends) of topics a and b of partition 0 and gives the times at which it stood still."""
    watch = StandingStill(allowed_s)
    a, b = TP("a", 0), TP("b", 0)
    return [
        now
        for now, positions, ends in steps
        if watch.look(dict(zip((a, b), positions, strict=True)), dict(zip((a, b), ends, strict=True)), now)
    ]


def test_a_partition_stands_still_when_its_end_grows_and_no_position_moves():
    assert standing((0, (5, 5), (9, 5)), (9, (5, 5), (20, 5)), (11, (5, 5), (20, 5))) == [11]


def test_a_partition_without_new_events_does_not_stand_still():
    assert standing((0, (5, 5), (5, 5)), (11, (5, 5), (5, 5)), (99, (5, 5), (5, 5))) == []


def test_an_end_that_the_broker_names_too_early_is_no_reason():
    """The embedded broker names the beginning of the last batch."""
    assert standing((0, (50, 5), (41, 5)), (11, (50, 5), (45, 5)), (99, (50, 5), (50, 5))) == []


def test_a_topic_that_waits_for_another_that_moves_does_not_stand_still():
    assert standing((0, (5, 5), (9, 9)), (9, (5, 6), (99, 9)), (18, (5, 7), (999, 9))) == []


def test_what_moves_again_has_all_its_time_again():
    assert standing((0, (5, 5), (9, 5)), (9, (6, 5), (20, 5)), (18, (6, 5), (30, 5)), (20, (6, 5), (30, 5))) == [20]


def test_records_of_a_partition_that_is_not_sought_yet_are_dropped(monkeypatch):
    """A fetch under way in a rebalance may bring some; the seek that follows reads them again."""
    old, new = TP("orders", 0), TP("orders", 1)

    async def fetched(*_, **__):
        return {old: [SimpleNamespace(offset=4)], new: [SimpleNamespace(offset=7)]}

    monkeypatch.setattr(AIOKafkaConsumerThread, "_fetch_records", fetched)
    thread = BatchConsumerThread.__new__(BatchConsumerThread)
    thread.app = SimpleNamespace(batch_topics={"orders"})
    thread._next = {old: 4}
    state = SimpleNamespace(position=5)
    assignment = SimpleNamespace(state_value=lambda _tp: state)
    consumer = SimpleNamespace(_subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment)))
    found = asyncio.run(thread._fetch_records(consumer, {old, new}))
    assert {tp: (batch.prev_next, batch.next) for tp, [batch] in found.items()} == {old: (4, 5)}


@pytest.mark.parametrize(("partition", "raises"), [(1, False), (0, True)])
def test_that_nobody_has_committed_matters_only_for_what_is_sought(monkeypatch, partition, raises):
    async def fetch(*_, **__):
        raise NoOffsetForPartitionError(TP("orders", partition))

    monkeypatch.setattr(AIOKafkaConsumerThread, "_fetch_records", fetch)
    thread = BatchConsumerThread.__new__(BatchConsumerThread)
    thread.app = SimpleNamespace(batch_topics={"orders"})
    thread._next = {TP("orders", 0): 4}
    with pytest.raises(NoOffsetForPartitionError) if raises else nullcontext():
        assert asyncio.run(thread._fetch_records(None, {TP("orders", 0), TP("orders", 1)})) == {}


def test_a_rebalance_forgets_where_partitions_were_read(monkeypatch):
    """Else a fetch between the new assignment and its seek would end the worker: nobody may have committed there."""

    async def fetch(*_, **__):
        raise NoOffsetForPartitionError(TP("orders", 0))

    async def revoked(*_):
        return None

    monkeypatch.setattr(AIOKafkaConsumerThread, "_fetch_records", fetch)
    monkeypatch.setattr(BatchConsumer.__mro__[1], "on_partitions_revoked", revoked)
    thread = BatchConsumerThread.__new__(BatchConsumerThread)
    thread.app = SimpleNamespace(batch_topics={"orders"})
    thread._next = {TP("orders", 0): 4}
    consumer = BatchConsumer.__new__(BatchConsumer)
    consumer._thread, consumer.app = thread, SimpleNamespace(handler=SimpleNamespace(on_revoked=revoked))
    asyncio.run(consumer.on_partitions_revoked({TP("orders", 0)}))
    assert asyncio.run(thread._fetch_records(None, {TP("orders", 0)})) == {}


def test_what_the_group_has_committed_is_looked_at_before_what_is_saved():
    """Who is paused between the two, while another takes over, saves and commits, must not begin empty where that one came to."""
    tp, done = TP("orders", 0), []

    class Thread:
        async def committed(self):
            done.append("committed")
            return {tp: 7}

        async def seek_to_start(self, wanted, committed):
            done.append(("seek", wanted, committed))
            return Start(1, {tp: 7}, {}, {})

    class Handler:
        async def restore(self):
            done.append("restore")
            return {}

        def on_started(self, start):
            done.append(start.positions)

    consumer = BatchConsumer.__new__(BatchConsumer)
    consumer._thread, consumer.app = Thread(), SimpleNamespace(handler=Handler())
    assert asyncio.run(consumer.seek_to_committed()) == {tp: 7}
    assert done == ["committed", "restore", ("seek", {}, {tp: 7}), {tp: 7}]
