"""The transport on a real broker: batches join without a hole, positions are ours, other topics are left alone."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.types import TP

from streams.transport import BatchApp

pytestmark = [pytest.mark.broker, pytest.mark.both_brokers]

SESSION_S = 2.0  # the embedded broker lets a group begin after half of this
WAIT_S = 80


class Recorder:
    """A handler that keeps what it is told; positions wanted at the start can be given."""

    def __init__(self, wanted=None):
        self.wanted = wanted or {}
        self.batches = []
        self.starts = []
        self.revoked = []

    async def on_revoked(self, revoked):
        self.revoked.append(revoked)

    def on_assigned(self, assigned):
        pass

    async def restore(self):
        return self.wanted

    def on_started(self, start):
        self.starts.append(start)

    async def take(self, batch):
        self.batches.append(batch)

    def values(self, partition):
        return [r.value for b in self.batches if b.partition == partition for r in b.records]


@asynccontextmanager
async def running(broker, group, topic, handler, tmp_path, **options):
    app = BatchApp(
        group,
        topics=[topic],
        handler=handler,
        broker=broker.address,
        data_dir=tmp_path / "faust",
        session_timeout_s=SESSION_S,
        **options,
    )
    app.serve_batches(handler.take)
    start = asyncio.create_task(app.start())
    try:
        yield app
    finally:
        await asyncio.wait_for(app.stop(), WAIT_S)
        await asyncio.gather(start, return_exceptions=True)


async def until(condition):
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the condition is anything
            await asyncio.sleep(0.01)


async def create(broker, topic, partitions=2):
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, partitions, 1)])
    await admin.close()


async def write(broker, topic, values, partition):
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, acks="all")
    await producer.start()
    for value in values:
        await producer.send(topic, value, partition=partition)
    await producer.stop()


def numbered(count, first=0):
    return [f"value {n}".encode() for n in range(first, first + count)]


def test_batches_hold_every_record_once_and_join_without_a_hole(broker, tmp_path):
    async def run():
        await create(broker, "t-join")
        for partition in (0, 1):
            await write(broker, "t-join", numbered(3000), partition)
        recorder = Recorder()
        async with running(broker, "g-join", "t-join", recorder, tmp_path, max_poll_records=500):
            await until(lambda: sum(len(b.records) for b in recorder.batches) >= 6000)
            await write(broker, "t-join", numbered(10, 3000), 0)
            await until(lambda: len(recorder.values(0)) >= 3010)
        assert recorder.values(0) == numbered(3010)
        assert recorder.values(1) == numbered(3000)
        assert max(len(b.records) for b in recorder.batches) <= 500
        for partition in (0, 1):
            batches = [b for b in recorder.batches if b.partition == partition]
            assert batches[0].prev_next == 0
            assert [b.next for b in batches[:-1]] == [b.prev_next for b in batches[1:]]
            assert all(b.prev_next <= b.records[0].offset <= b.offset < b.next for b in batches)
            assert all(b.offset == b.records[-1].offset for b in batches)  # what Faust is told: the last, not the first

    asyncio.run(run())


def test_after_a_commit_the_group_goes_on_there_and_a_state_at_hand_goes_before_it(broker, tmp_path):
    async def run():
        await create(broker, "t-resume", 1)
        await write(broker, "t-resume", numbered(100), 0)
        tp = TP("t-resume", 0)

        first = Recorder()
        async with running(broker, "g-resume", "t-resume", first, tmp_path) as app:
            await until(lambda: len(first.values(0)) == 100)
            assert await app.batch_consumer.commit_positions({tp: 60})
            assert app.batch_consumer.end_of(tp).offset == 100
        assert first.starts[0].positions == {tp: 0}

        second = Recorder()
        async with running(broker, "g-resume", "t-resume", second, tmp_path):
            await until(lambda: second.values(0))
        assert second.starts[0].positions == {tp: 60}
        assert second.values(0)[0] == b"value 60"

        third = Recorder(wanted={tp: 75})
        async with running(broker, "g-resume", "t-resume", third, tmp_path):
            await until(lambda: third.values(0))
        assert third.values(0)[0] == b"value 75"

    asyncio.run(run())


def test_a_seek_starts_a_new_epoch(broker, tmp_path):
    async def run():
        await create(broker, "t-epoch", 1)
        await write(broker, "t-epoch", numbered(10), 0)
        recorder = Recorder()
        async with running(broker, "g-epoch", "t-epoch", recorder, tmp_path) as app:
            await until(lambda: len(recorder.values(0)) == 10)
            await app.batch_consumer.perform_seek()  # as Faust does after each rebalance
            await until(lambda: len(recorder.values(0)) == 20)
        assert [s.epoch for s in recorder.starts] == [1, 2]
        assert [b.epoch for b in recorder.batches] == [1, 2]
        assert recorder.batches[1].prev_next == 0

    asyncio.run(run())


def test_topics_of_other_agents_come_message_by_message(broker, tmp_path):
    async def run():
        await create(broker, "t-batches", 1)
        await create(broker, "t-plain", 1)
        await write(broker, "t-batches", numbered(50), 0)
        await write(broker, "t-plain", numbered(5), 0)
        recorder = Recorder()
        plain = []
        app = BatchApp(
            "g-plain",
            topics=["t-batches"],
            handler=recorder,
            broker=broker.address,
            data_dir=tmp_path,
            session_timeout_s=SESSION_S,
        )
        app.serve_batches(recorder.take)

        @app.agent(app.topic("t-plain", value_serializer="raw"))
        async def other(stream):
            async for value in stream:
                plain.append(value)  # noqa: PERF401 - it never ends

        start = asyncio.create_task(app.start())
        try:
            await until(lambda: len(recorder.values(0)) == 50 and len(plain) == 5)
        finally:
            await app.stop()
            await asyncio.gather(start, return_exceptions=True)
        assert plain == numbered(5)

    asyncio.run(run())


def test_an_exception_of_the_agent_crashes_the_app(broker, tmp_path):
    async def run():
        await create(broker, "t-crash", 1)
        await write(broker, "t-crash", numbered(5), 0)

        class Failing(Recorder):
            async def take(self, _batch):
                raise ZeroDivisionError("as asked")

        async with running(broker, "g-crash", "t-crash", Failing(), tmp_path) as app:
            await until(lambda: app.crashed)
            assert isinstance(app.crash_reason, ZeroDivisionError)

    asyncio.run(run())
