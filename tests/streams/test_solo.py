"""An agent that is one and not many: what it says was saved before, and it goes on from what it saved."""

import asyncio
import json

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from kafka import TopicPartition as AdminPartition
from kafka.admin import KafkaAdminClient

from m1cep import EngineError
from streams import codec, snapshots
from streams.agents import solo as solo_module
from streams.agents.outbox import Outbox
from streams.agents.solo import Solo
from streams.agents.stats import AgentStats
from streams.errors import ShellError
from streams.snapshots import StoreError, SupersededError
from streams.snapshots.folder import FolderStore
from streams.topics import topic_ids

pytestmark = pytest.mark.broker

ASKED, SAID, SLOW = "m1cep.order-commands.v1", "m1cep.custody.releases.v1", "m1cep.accounts.v1"


class Counter:
    """Says how many it has heard."""

    def __init__(self):
        self.heard = []
        self.events = []
        self.ticks = 0  # since something was heard: at the second one it has been said

    def _say(self, text):
        return [codec.Message(SAID, b"k", text.encode(), [])]

    def take(self, _topic, _partition, record):
        self.heard.append(record.value.decode())
        self.events.append("heard")
        self.ticks = 0
        return self._say(f"{len(self.heard)}: {record.value.decode()}")

    def tick(self, _now_ms):
        self.ticks += 1
        return []

    def snapshot(self):
        self.events.append("saved")
        return json.dumps(self.heard).encode()

    def load(self, state):
        if state == b"no":
            raise EngineError("it is of a later version")
        self.heard = json.loads(state)
        return self._say(f"again with {len(self.heard)}")


@pytest.fixture
def solo(kafka, tmp_path):
    """Runs a machine until a condition holds, then ends it: cleanly, or as a crash does.

    ``beside`` is called once, when it runs and has heard ``after`` records.
    """

    def run(machine, until, *, store=None, crash=False, beside=None, after=0, calm=(), tail=None, stats=None):
        async def main():
            client = {"bootstrap_servers": kafka.address, "security_protocol": "PLAINTEXT"}
            ids = await asyncio.to_thread(topic_ids, client, [ASKED, *calm])
            async with Outbox(client, "test") as outbox:
                agent = Solo(
                    "counter",
                    machine,
                    store=store or FolderStore(tmp_path / "state"),
                    outbox=outbox,
                    stats=stats or AgentStats(),
                    client=client,
                    ids=ids,
                    calm=frozenset(calm),
                    tail=tail,
                )
                task = asyncio.create_task(agent.run())
                waiting = beside
                for _ in range(1_200):
                    if task.done() or until(machine):
                        break
                    if waiting and machine.ticks >= 2 and len(machine.heard) >= after:
                        waiting()
                        waiting = None
                    await asyncio.sleep(0.05)
                if task.done():
                    await agent.stop()
                    task.result()
                task.cancel()
                await asyncio.wait([task])
                if crash:
                    agent.abandon()
                else:
                    await agent.close()
                await agent.stop()

        asyncio.run(main())
        return machine

    return run


def said(kafka):
    """In order; what is said just when it ends may be said again."""
    return list(dict.fromkeys(record.value.decode() for record in kafka.read(SAID)))


def heard(count):
    return lambda machine: len(machine.heard) >= count and machine.ticks >= 2


def test_it_reads_all_partitions_and_saves_before_it_speaks(kafka, solo):
    for n in range(4):
        kafka.send(ASKED, b"%d" % n, partition=n)
    machine = solo(Counter(), heard(4))
    assert sorted(machine.heard) == ["0", "1", "2", "3"]
    assert sorted(text.split(": ")[1] for text in said(kafka)) == ["0", "1", "2", "3"]
    assert machine.events.index("saved") > machine.events.index("heard")


def test_it_hears_what_it_is_in_no_hurry_for_and_goes_on_there_too(kafka, solo):
    for n in range(4):
        kafka.send(SLOW, b"slow %d" % n, partition=n)
    kafka.send(ASKED, b"one", partition=0)
    machine = solo(Counter(), heard(5), calm=[SLOW])
    assert sorted(machine.heard) == ["one", *(f"slow {n}" for n in range(4))]
    kafka.send(SLOW, b"slow 4", partition=0)
    assert solo(Counter(), heard(6), calm=[SLOW]).heard[5:] == ["slow 4"]
    assert solo(Counter(), lambda machine: machine.heard, calm=[SLOW, ASKED]).heard == [*machine.heard, "slow 4"]


@pytest.mark.kafka_only  # the embedded broker has no transactions
def test_what_was_never_committed_is_not_heard(kafka, solo):
    async def main():
        producer = AIOKafkaProducer(bootstrap_servers=kafka.address, transactional_id="solo-test")
        await producer.start()
        try:
            await producer.begin_transaction()
            await producer.send_and_wait(ASKED, b"aborted", partition=0)
            await producer.abort_transaction()
            async with producer.transaction():
                await producer.send_and_wait(ASKED, b"committed", partition=0)
        finally:
            await producer.stop()

    asyncio.run(main())
    kafka.send(ASKED, b"last", partition=0)
    assert solo(Counter(), heard(2)).heard == ["committed", "last"]


def test_after_a_restart_it_goes_on_and_says_what_it_must_say_again(kafka, solo):
    kafka.send(ASKED, b"one", partition=0)
    solo(Counter(), heard(1))
    kafka.send(ASKED, b"two", partition=1)
    machine = solo(Counter(), heard(2))
    assert machine.heard == ["one", "two"]
    assert said(kafka) == ["1: one", "again with 1", "2: two"]


def test_what_a_crash_has_kept_from_being_said_is_said_afterwards(kafka, solo, monkeypatch):
    async def cut(_self, _message):
        raise ConnectionError("the cable")

    kafka.send(ASKED, b"one", partition=0)
    with monkeypatch.context() as broken:
        broken.setattr(Outbox, "send", cut)
        with pytest.raises(ConnectionError, match="the cable"):
            solo(Counter(), lambda _: False, crash=True)
    assert said(kafka) == []
    machine = Counter()
    solo(machine, lambda _: "1: one" in said(kafka))
    assert machine.heard == ["one"]
    assert said(kafka) == ["1: one", "again with 1"]


class Full(FolderStore):
    def save(self, *_):
        raise StoreError("the disk is full")


def test_what_cannot_be_saved_is_not_said(kafka, solo, tmp_path):
    kafka.send(ASKED, b"one", partition=0)
    with pytest.raises(StoreError, match="the disk is full"):
        solo(Counter(), lambda _: False, store=Full(tmp_path / "state"), crash=True)
    assert said(kafka) == []


def test_the_later_of_two_has_the_state(kafka, solo, tmp_path):
    """The former one cannot save any more, so it says nothing, and ends."""

    def take_over():
        FolderStore(tmp_path / "state").claim(0)
        kafka.send(ASKED, b"one", partition=0)

    with pytest.raises(SupersededError):
        solo(Counter(), lambda _: False, beside=take_over, crash=True)
    assert said(kafka) == []


@pytest.mark.parametrize("damage", [b"no state at all", None])
def test_a_state_that_cannot_be_used_is_not_replaced_by_an_older_one(kafka, solo, tmp_path, damage):
    kafka.send(ASKED, b"one", partition=0)
    solo(Counter(), heard(1))
    kafka.send(ASKED, b"two", partition=0)
    solo(Counter(), heard(2))
    newest = max((tmp_path / "state" / "0").glob("*.snapshot"))
    if damage:
        newest.write_bytes(damage)
    else:  # the machine itself refuses it
        content = snapshots.decode(newest.read_bytes())
        newest.write_bytes(snapshots.encode(snapshots.PartitionSnapshot(*list_of(content), b"no")))
    with pytest.raises(ShellError, match=r"the newest state of counter .* cannot be used"):
        solo(Counter(), lambda _: False, crash=True)


class Forgetful(AIOKafkaConsumer):
    """The embedded broker deletes nothing: as if retention had, before ``first``, and the broker then said what Kafka says."""

    first = 0

    async def getmany(self, *tps, **more):
        part = TopicPartition(ASKED, 0)
        position = await self.position(part)
        found = await super().getmany(*tps, **more)
        if position < self.first:
            self.seek(part, position)
            raise OffsetOutOfRangeError({part: position})
        return found

    async def beginning_offsets(self, partitions):
        found = await super().beginning_offsets(partitions)
        return {tp: max(at, self.first if tp.partition == 0 else 0) for tp, at in found.items()}


class TestRecordsDeletedUnread:
    """Retention reaches records 1 and 2 of 0 to 3 while the agent, which has heard 0, is behind."""

    @pytest.fixture
    def forget(self, kafka, monkeypatch):
        """Lets it."""
        monkeypatch.setattr(solo_module, "AIOKafkaConsumer", Forgetful)
        monkeypatch.setattr(Forgetful, "first", 0)
        kafka.send(ASKED, b"0", partition=0)

        def reach():
            monkeypatch.setattr(Forgetful, "first", 3)
            kafka.send(ASKED, b"1", b"2", b"3", partition=0)

        return reach

    def test_it_stops_and_says_what_is_lost(self, solo, forget):
        machine = Counter()
        with pytest.raises(ShellError, match=rf"before counter had read them: {ASKED}/0 from offset 1 to 3") as caught:
            solo(machine, lambda _: False, beside=forget, after=1, crash=True)
        assert "keep the topics for longer" in caught.value.remedy
        assert machine.heard == ["0"]

    def test_where_not_all_must_be_heard_it_goes_on_with_what_is_left_and_counts(self, solo, forget):
        stats = AgentStats()
        machine = solo(Counter(), heard(2), beside=forget, after=1, tail={ASKED: 10}, stats=stats)
        assert machine.heard == ["0", "3"]
        assert stats.lost == {ASKED: 2}
        assert solo(Counter(), lambda one: len(one.heard) >= 2, tail={ASKED: 10}).heard == ["0", "3"]

    def test_while_it_was_away_the_same(self, solo, forget):
        solo(Counter(), heard(1))
        forget()
        with pytest.raises(ShellError, match=rf"{ASKED}/0 from offset 1 to 3"):
            solo(Counter(), lambda _: False, crash=True)
        stats = AgentStats()
        solo(Counter(), lambda _: stats.lost, tail={ASKED: 0}, stats=stats)
        assert stats.lost == {ASKED: 2}

    def test_a_topic_that_has_less_than_was_read_is_not_read_from_its_beginning(self, solo, monkeypatch):
        """The broker has lost records, or somebody made the topic anew under the same id."""

        async def nothing_there(_self, *_tps, **_more):
            raise OffsetOutOfRangeError({TopicPartition(ASKED, 0): 7})

        monkeypatch.setattr(Forgetful, "getmany", nothing_there)
        monkeypatch.setattr(solo_module, "AIOKafkaConsumer", Forgetful)
        with pytest.raises(ShellError, match=rf"less than counter had read: it was to go on with {ASKED}/0 at 7"):
            solo(Counter(), lambda _: False, crash=True, tail={ASKED: 0})


@pytest.mark.kafka_only  # the embedded broker deletes nothing
def test_what_kafka_deletes_unread_stops_it(kafka, solo):
    """The same with Kafka's own words: a reader that is behind by more than Kafka keeps."""

    class Slow(Counter):
        def take(self, topic, partition, record):
            if record.value == b"0":
                kafka.send(ASKED, *(b"%d" % n * 600_000 for n in range(1, 8)), partition=0)
                admin = KafkaAdminClient(bootstrap_servers=kafka.address)
                admin.delete_records({AdminPartition(ASKED, 0): 8})
                admin.close()
            return super().take(topic, partition, record)

    kafka.send(ASKED, b"0", partition=0)
    with pytest.raises(ShellError, match=rf"{ASKED}/0 from offset 1 to 8"):
        solo(Slow(), lambda _: False, crash=True)


def list_of(content):
    return [content.agent, content.partition, content.topics, content.positions, content.rules]


def test_a_topic_that_was_written_to_stays_known_when_another_is_asked_for(kafka):
    """aiokafka forgets topics that nobody has named as soon as one is: what waits for their leader would wait in vain."""

    async def main():
        client = {"bootstrap_servers": kafka.address, "security_protocol": "PLAINTEXT"}
        async with Outbox(client, "test") as outbox:
            await (await outbox.send(codec.Message(SAID, b"k", b"one", [])))
            await outbox.ends([TopicPartition(ASKED, 0)])
            await outbox._producer.client.force_metadata_update()
            return outbox._producer.client.cluster.partitions_for_topic(SAID)

    assert asyncio.run(main()) == {0}
