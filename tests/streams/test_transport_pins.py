"""The transport overrides private parts of Faust and aiokafka: when a new version changes them, this says so first."""

import asyncio
import inspect
from importlib.metadata import version
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import TopicPartitionState
from faust.app.base import App, BootStrategy
from faust.serializers.schemas import Schema
from faust.tables.manager import TableManager
from faust.transport.consumer import Consumer as BaseConsumer
from faust.transport.consumer import ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver
from faust.transport.utils import DefaultSchedulingStrategy
from mode.threads import QueueServiceThread, ServiceThread, WorkerThread

from streams.transport.thread import BatchConsumerThread

REMEDY = "streams/transport was written against another version: read the new source, adapt it, then change this test"

SIGNATURES = {
    App._new_transport: "(self)",
    App._create_directories: "(self)",
    TableManager.on_start: "(self)",
    TableManager._update_channels: "(self)",
    Schema.loads_key: "(self, app, message, *, loads, serializer)",
    Schema.loads_value: "(self, app, message, *, loads, serializer)",
    DefaultSchedulingStrategy.iterate: "(self, records)",
    driver.Consumer._new_consumer_thread: "(self)",
    driver.Consumer._to_message: "(self, tp, record)",
    ThreadDelegateConsumer.seek_to_committed: "(self)",
    ThreadDelegateConsumer._commit: "(self, offsets)",
    BaseConsumer.on_buffer_full: "(self, tp)",
    BaseConsumer.on_partitions_revoked: "(self, revoked)",
    BaseConsumer.on_partitions_assigned: "(self, assigned, generation_id)",
    driver.AIOKafkaConsumerThread._create_worker_consumer: "(self, transport)",
    driver.AIOKafkaConsumerThread._fetch_records: "(self, consumer, active_partitions, timeout, max_records)",
    driver.AIOKafkaConsumerThread._ensure_consumer: "(self)",
    driver.AIOKafkaConsumerThread.on_start: "(self)",
    QueueServiceThread.call_thread: "(self, fun, *args, **kwargs)",
    ServiceThread.on_crash: "(self, msg, *fmt, **kwargs)",
    WorkerThread.__init__: "(self, service, **kwargs)",
    fetcher.Fetcher.fetched_records: "(self, partitions, timeout, max_records)",
    fetcher.PartitionRecords._consumer_record: "(self, tp, record)",
    AIOKafkaConsumer.seek_to_committed: "(self, *partitions)",
    AIOKafkaConsumer.committed: "(self, partition)",
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda f: f.__qualname__)
def test_what_is_overridden_or_called_has_the_signature_it_was_written_for(function):
    def bare(parameter):
        return parameter.replace(annotation=inspect.Parameter.empty, default=inspect.Parameter.empty)

    signature = inspect.signature(function)
    shown = inspect.Signature([bare(p) for p in signature.parameters.values()])
    assert str(shown) == SIGNATURES[function], f"{function.__qualname__} changed: {REMEDY}"


def test_the_versions_are_those_that_were_read():
    assert version("faust-streaming") == "0.15.3", REMEDY
    assert version("aiokafka").startswith("0.14."), REMEDY


def test_faust_still_passes_what_the_transport_replaces():
    source = inspect.getsource(driver.AIOKafkaConsumerThread._create_worker_consumer)
    assert "fetch_max_wait_ms=1500" in source, f"Faust no longer hard-codes the fetch wait: {REMEDY}"
    assert BootStrategy.enable_web is None, REMEDY
    assert driver.Transport.Consumer is driver.Consumer, REMEDY


def test_aiokafka_still_has_the_private_parts_that_are_used():
    consumer = inspect.getsource(AIOKafkaConsumer.__init__)
    for name in ("_fetch_max_wait_ms", "_isolation_level", "_auto_offset_reset", "_subscription"):
        assert f"self.{name} = " in consumer, f"AIOKafkaConsumer.{name} is gone: {REMEDY}"
    coordinator = inspect.getsource(GroupCoordinator)
    for name in ("_pending_exception", "_coordination_task"):
        assert f"self.{name} = " in coordinator, f"aiokafka's GroupCoordinator.{name} is gone: {REMEDY}"
    source = inspect.getsource(fetcher)
    for text in (
        "self._records = collections.OrderedDict()",
        "self._records[tp] = FetchResult(",
        "for tp in list(self._records.keys()):",
        "consumer_record = self._consumer_record(tp, record)",
        "self._partition_records = partition_records",
    ):
        assert text in source, f"aiokafka's fetcher no longer has {text!r}: {REMEDY}"
    state = inspect.getsource(TopicPartitionState)
    for name in ("highwater", "lso", "timestamp"):
        assert f"self.{name} = " in state, f"TopicPartitionState.{name} is gone: {REMEDY}"


@pytest.mark.parametrize("sought", [False, True])
def test_records_of_a_partition_that_is_not_sought_yet_are_not_passed_on(monkeypatch, sought):
    """Kafka's consumer reads what it was just assigned from the committed offset, until we say from where."""
    tp = TopicPartition("orders", 1)
    state = SimpleNamespace(position=7)
    assignment = SimpleNamespace(state_value=lambda _: state)
    consumer = SimpleNamespace(_subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment)))

    async def fetched(*_, **__):
        return {tp: ["record"]}

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetched)
    thread = object.__new__(BatchConsumerThread)
    thread.app = SimpleNamespace(batch_topics={"orders"})
    thread._next = {tp: 3} if sought else {}
    found = asyncio.run(thread._fetch_records(consumer, {tp}))
    assert [(b.prev_next, b.next) for batches in found.values() for b in batches] == ([(3, 7)] if sought else [])
