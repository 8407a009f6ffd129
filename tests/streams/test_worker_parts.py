"""The parts of a worker that need no broker: what may be committed, what is idle, what is written, what is given out first."""

import asyncio
import base64
from types import SimpleNamespace

import orjson
import pytest
from aiokafka.consumer.fetcher import FetchError, FetchResult
from aiokafka.structs import TopicPartition
from faust.types import TP

from m1cep import Alert
from streams import codec
from streams.agents.commits import CommitLog
from streams.agents.held import Held
from streams.agents.idle import IdleWatch
from streams.agents.stats import AgentStats, StatsFile
from streams.transport import EndOfPartition
from streams.transport.records import PlainRecords

A, B = TP("a", 0), TP("b", 0)


def in_loop(test):
    """Runs a coroutine function as a test."""

    def run():
        asyncio.run(test())

    run.__name__ = test.__name__
    return run


def futures(count):
    return [asyncio.get_running_loop().create_future() for _ in range(count)]


# -- commits: a step counts when it and everything before it is acknowledged


@in_loop
async def test_a_batch_without_messages_may_be_committed_at_once():
    log = CommitLog()
    log.add({A: 10}, [])
    assert log.committable() == {A: 10}


@in_loop
async def test_nothing_is_committed_past_a_message_that_is_not_acknowledged():
    log = CommitLog()
    first, second = futures(2)
    log.add({A: 10}, [first])
    log.add({A: 20}, [second])
    log.add({B: 5}, [])
    second.set_result(None)
    assert log.committable() == {}
    assert len(log) == 3
    first.set_result(None)
    assert log.committable() == {A: 20, B: 5}
    assert len(log) == 0


@in_loop
async def test_a_refused_message_is_raised_and_its_batch_is_not_committed():
    log = CommitLog()
    (refused,) = futures(1)
    log.add({A: 10}, [refused])
    refused.set_exception(OSError("refused"))
    with pytest.raises(OSError, match="refused"):
        log.committable()


@in_loop
async def test_positions_of_a_lost_partition_are_forgotten_wherever_they_wait():
    log = CommitLog()
    log.add({A: 10, B: 10}, [])
    (pending,) = futures(1)
    log.add({A: 20, B: 20}, [pending])
    log.forget({A})
    pending.set_result(None)
    assert log.committable() == {B: 20}


@in_loop
async def test_settle_waits_for_every_acknowledgement():
    log = CommitLog()
    first, second = futures(2)
    log.add({A: 10}, [first])
    log.add({A: 20}, [second])
    first.set_result(None)
    asyncio.get_running_loop().call_later(0.01, second.set_result, None)
    await log.settle()
    assert log.committable() == {A: 20}


# -- held: rows that wait for their turn by event time
#
#    orders, 200 us late   took up to    1000          2000
#    watermark                            800          1800
#    committable                          -            (the batch up to 1000)


def test_a_batch_may_be_committed_once_the_watermark_has_passed_its_newest_row():
    held = Held({"orders": 200})
    held.took("orders", 10, 1000)
    assert held.released() == {}
    held.took("orders", 20, 2000)
    assert held.released() == {"orders": 10}
    held.idle("orders")
    assert held.released() == {"orders": 20}
    assert held.released() == {}


def test_a_topic_without_lateness_alone_waits_for_nothing():
    held = Held({"market": 0})
    held.took("market", 10, 1000)
    assert held.released() == {"market": 10}


def test_the_slowest_topic_decides_for_all_until_it_is_idle():
    held = Held({"orders": 0, "fills": 0})
    held.took("orders", 10, 1000)
    assert held.released() == {}  # nothing of fills has been seen
    held.took("fills", 5, 1000)
    assert held.released() == {}  # another fill of that time may come, and orders of that time go first
    held.took("fills", 6, 1001)
    assert held.released() == {}
    held.took("orders", 20, 5000)
    assert held.released() == {"orders": 10, "fills": 5}
    held.idle("fills")
    assert held.released() == {"fills": 6}
    held.idle("orders")
    assert held.released() == {"orders": 20}


def test_an_idle_topic_that_speaks_again_holds_back_again():
    held = Held({"orders": 0, "fills": 0})
    held.idle("fills")
    held.took("fills", 1, 100)
    held.took("orders", 10, 1000)
    assert held.released() == {}


def test_a_batch_of_bad_records_alone_is_no_reason_to_wait_longer():
    held = Held({"market": 0})
    held.took("market", 10, 1000)
    held.took("market", 20, None)
    assert held.released() == {"market": 20}


def test_an_older_batch_waits_no_longer_than_a_newer_one_before_it():
    held = Held({"orders": 100})
    held.took("orders", 10, 1000)
    held.took("orders", 20, 950)  # out of order
    held.took("orders", 30, 1100)
    assert held.released() == {"orders": 20}


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
