"""The producer against a real broker, and against the parts of kafka-python that it relies on."""

import inspect
import random
import threading
import time
import types
import uuid

import orjson
import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.producer.producer_batch import ProducerBatch
from kafka.producer.record_accumulator import RecordAccumulator
from kafka.record.memory_records import MemoryRecordsBuilder

from streams import lanes
from streams.errors import ServerError, UsageError
from streams.lanes import BATCH_BYTES, Batch
from streams.producer import DeliveryError, Producer, key_of

PARTITIONS = 4
pytestmark = pytest.mark.broker


def settings(server):
    return {"bootstrap_servers": server.address, "security_protocol": "PLAINTEXT"}


def make_topic(server, partitions=PARTITIONS):
    name = f"producer-{uuid.uuid4().hex}"
    admin = KafkaAdminClient(bootstrap_servers=server.address)
    admin.create_topics([NewTopic(name, partitions, 1)])
    admin.close()
    return types.SimpleNamespace(topic=name, key=("account",))


@pytest.fixture
def stream(broker):
    return make_topic(broker)


def read_all(server, stream, count, timeout_s=30):
    """Records by partition, once ``count`` of them are there."""
    partitions = [TopicPartition(stream.topic, p) for p in range(PARTITIONS)]
    consumer = KafkaConsumer(
        bootstrap_servers=server.address,
        auto_offset_reset="earliest",
        fetch_max_bytes=1 << 26,
        max_partition_fetch_bytes=1 << 24,
    )
    consumer.assign(partitions)
    got = {p: [] for p in range(PARTITIONS)}
    deadline = time.monotonic() + timeout_s
    while sum(map(len, got.values())) < count:
        assert time.monotonic() < deadline, {p: len(records) for p, records in got.items()}
        for partition, records in consumer.poll(500).items():
            got[partition.partition] += records
    assert consumer.poll(200) == {}, "the broker has more than was sent"
    consumer.close()
    return got


@pytest.mark.parametrize("batch_bytes", [BATCH_BYTES, 2_000])
def test_every_event_arrives_once_in_the_order_sent_on_the_partition_of_its_key(
    broker, stream, batch_bytes, monkeypatch
):
    monkeypatch.setattr(lanes, "BATCH_BYTES", batch_bytes)  # with small ones the sender and we meet all the time
    rng = random.Random(1)
    events = [{"account": f"acct-{rng.randrange(300)}", "n": n, "pad": "x" * rng.randrange(400)} for n in range(20_000)]
    with Producer(settings(broker), {"orders": stream}) as producer:
        for event in events:
            producer.send("orders", event)
    assert (producer.counts.sent, producer.counts.acknowledged, producer.counts.failed) == (20_000, 20_000, 0)
    choose = DefaultPartitioner()
    expected = {p: [] for p in range(PARTITIONS)}
    for event in events:
        key = event["account"].encode()
        expected[choose(key, list(range(PARTITIONS)), list(range(PARTITIONS)))].append((key, orjson.dumps(event)))
    got = read_all(broker, stream, len(events))
    assert {p: [(r.key, r.value) for r in records] for p, records in got.items()} == expected
    for records in got.values():
        assert [r.offset for r in records] == list(range(len(records)))


def test_a_single_event_leaves_by_itself_after_the_linger_time(broker, stream):
    producer = Producer(settings(broker), {"orders": stream}, linger_ms=20)
    before_ms = time.time() * 1000
    producer.send("orders", {"account": "a", "ts": 1})
    (record,) = [r for records in read_all(broker, stream, 1).values() for r in records]
    assert before_ms - 1 <= record.timestamp <= time.time() * 1000, "the record's time is when it was sent"
    producer.close()


def test_bytes_go_out_as_they_are_with_the_key_and_time_given_or_spread_without_a_key(broker, stream):
    with Producer(settings(broker), {"orders": stream}) as producer:
        producer.send("orders", b"\xff not json", b"some key", 1_777_689_381_000)
        for n in range(40):
            producer.send("orders", b"%d" % n)
    got = read_all(broker, stream, 41)
    (keyed,) = [r for records in got.values() for r in records if r.key is not None]
    assert (keyed.key, keyed.value, keyed.timestamp) == (b"some key", b"\xff not json", 1_777_689_381_000)
    assert sorted(int(r.value) for records in got.values() for r in records if r.key is None) == list(range(40))
    assert all(len([r for r in records if r.key is None]) == 10 for records in got.values())


def test_a_record_larger_than_a_batch_goes_alone_and_keeps_its_place(broker, stream):
    sizes = [10, BATCH_BYTES, 20, 2_000_000, 30, BATCH_BYTES // 2 + 1, 40]
    with Producer(settings(broker), {"orders": stream}) as producer:
        for size in sizes:
            producer.send("orders", b"x" * size, b"k")
    (records,) = [records for records in read_all(broker, stream, len(sizes)).values() if records]
    assert [len(r.value) for r in records] == sizes


@pytest.mark.parametrize(
    ("columns", "event", "key"),
    [
        (("account",), {"account": "a-1"}, b"a-1"),
        (("account",), {"account": 7}, b"7"),
        (("account",), {"account": None}, None),
        (("account",), {}, None),
        ((), {"account": "a-1"}, None),
        (("a", "b"), {"a": "x", "b": 2}, b'["x",2]'),
    ],
)
def test_the_key_is_the_text_of_the_partitioned_by_column(columns, event, key):
    assert key_of(columns, event) == key


def test_an_unknown_stream_or_a_value_that_is_not_json_is_refused_by_name(broker, stream):
    producer = Producer(settings(broker), {"orders": stream})
    with pytest.raises(UsageError, match=r"no stream 'fills'.*streams are orders"):
        producer.send("fills", {"account": "a"})
    with pytest.raises(UsageError, match=r"stream orders: .*JSON"):
        producer.send("orders", {"account": "a", "what": object()})
    producer.send("orders", {"account": "a"})
    producer.close()
    assert producer.counts.acknowledged == 1


def test_no_broker_is_one_clear_line():
    with pytest.raises(ServerError, match=r"no Kafka broker answers at 127.0.0.1:9 .*m1cep broker") as lost:
        Producer({"bootstrap_servers": "127.0.0.1:9"}, {}, connect_timeout_s=1)
    assert lost.value.exit_code == 3
    assert "\n" not in str(lost.value)


def test_a_broker_that_dies_is_reported_with_what_it_did_not_take(own_broker):
    server = own_broker
    streams = {"orders": make_topic(server), "fills": types.SimpleNamespace(topic="made-later", key=("account",))}
    producer = Producer(settings(server), streams, connect_timeout_s=1, delivery_timeout_s=2)
    for n in range(1_000):
        producer.send("orders", {"account": "a", "n": n})
    producer.flush()
    assert producer.counts.acknowledged == 1_000
    server.stop()
    for n in range(500):
        producer.send("orders", {"account": "a", "n": n})
    with pytest.raises(DeliveryError, match="did not take 500 of 1500 events") as lost:
        producer.flush()
    assert (lost.value.failed, lost.value.sent, lost.value.exit_code) == (500, 1_500, 3)
    with pytest.raises(ServerError, match=r"the broker at .* does not know the topic made-later, or does not answer"):
        producer.send("fills", {"account": "a"})
    with pytest.raises(DeliveryError):
        producer.send("orders", b"x" * BATCH_BYTES)
    producer.abandon()


def fails_within(server, stream):
    with Producer(settings(server), {"orders": stream}, linger_ms=10_000) as producer:
        producer.send("orders", {"account": "a"})
        raise ZeroDivisionError


def test_a_body_that_raises_is_not_covered_up_and_leaves_no_thread(broker, stream):
    before = {thread.ident for thread in threading.enumerate()}
    with pytest.raises(ZeroDivisionError):
        fails_within(broker, stream)
    assert {thread.ident for thread in threading.enumerate()} <= before


# What streams/lanes.py uses of kafka-python and aiokafka beyond their documentation. When one of these fails after an
# upgrade, compare kafka/producer/{kafka,record_accumulator,producer_batch,sender}.py with the version before.


def attributes_used_of_records():
    """What kafka-python's own builder offers, less what only its legacy formats, compression and readers use."""
    unused = {"skip", "records", "compression_rate", "set_producer_state"}
    return {name for name in vars(MemoryRecordsBuilder) if not name.startswith("_")} - unused


def test_a_batch_offers_what_kafka_python_asks_of_its_own_records():
    assert attributes_used_of_records() <= set(dir(Batch))
    for name in ("append", "close", "buffer", "size_in_bytes", "is_full", "next_offset"):
        theirs = list(inspect.signature(getattr(MemoryRecordsBuilder, name)).parameters)
        ours = list(inspect.signature(getattr(Batch, name)).parameters)
        assert len(ours) == len(theirs), f"{name}{theirs} has changed in kafka-python"


def test_kafka_pythons_producer_is_built_as_the_lanes_expect(broker):
    producer = KafkaProducer(bootstrap_servers=broker.address, enable_idempotence=False)
    assert isinstance(producer._accumulator, RecordAccumulator)
    assert callable(producer._sender.wakeup)
    partition = TopicPartition("t", 0)
    assert producer._accumulator._tp_lock(partition) is producer._accumulator._tp_lock(partition)
    assert hasattr(producer._accumulator._batches[partition], "append")
    assert callable(producer._accumulator._incomplete.add)
    producer.close(timeout=1)
    batch = ProducerBatch(partition, Batch(10))
    assert callable(batch.produce_future.wait)
    assert isinstance(inspect.getattr_static(ProducerBatch, "record_count"), property), "splitting is decided by it"
    source = inspect.getsource(RecordAccumulator.append)
    assert "with self._tp_lock(tp)" in source
    assert "self._incomplete.add(batch)" in source


def test_a_failed_batch_is_told_from_an_acknowledged_one():
    for finish, failed in (
        (lambda batch: batch.complete(17, -1), False),
        (lambda batch: batch.complete_exceptionally(KeyError("k"), lambda _: KeyError("k")), True),
        (lambda batch: batch.abort(KeyError("k")), True),
    ):
        records = Batch(10)
        queued = ProducerBatch(TopicPartition("t", 0), records)
        records.future = queued.produce_future
        finish(queued)
        assert isinstance(records.error(), KeyError) is failed
        assert failed or records.error() is None


def test_aiokafkas_builder_is_the_compiled_one():
    assert DefaultRecordBatchBuilder.__module__ == "aiokafka.record._crecords.default_records", (
        "the pure Python one works as well, but producing is then ten times slower"
    )
