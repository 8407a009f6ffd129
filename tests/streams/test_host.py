"""What a worker does about its partitions when the group rebalances while it still restores them."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from faust.tables.recovery import RebalanceAgain
from faust.types import TP

from streams import snapshots
from streams.agents.host import Host
from streams.agents.keeper import Keeper
from streams.agents.stats import AgentStats
from streams.snapshots import FolderStore, PartitionSnapshot
from streams.transport import Start
from streams.transport.app import BatchConsumer

TOPIC = "pay.v1"


class SlowStore(FolderStore):
    """Claims that can be held up; ``claimed`` and ``loaded``: the partitions asked for, in order."""

    def __init__(self, folder):
        super().__init__(folder)
        self.claimed, self.loaded = [], []
        self.asked, self.may = threading.Event(), threading.Event()

    def claim(self, number, former):
        self.claimed.append(number)
        self.asked.set()
        assert self.may.wait(20)
        return super().claim(number, former)

    def load(self, number):
        self.loaded.append(number)
        return super().load(number)


def host_on(store, before_restore=None):
    def open_partition(_, positions, __):
        return SimpleNamespace(positions=positions, measure=lambda *_: None)

    keeper = Keeper("risk", store, open_partition, {TOPIC: "id"}, {}, before_restore)
    host = Host("risk", frozenset({TOPIC}), keeper, None, AgentStats(), SimpleNamespace(start=lambda _: None))
    host.app = SimpleNamespace(batch_consumer=SimpleNamespace(end_of=lambda _: None))
    return host


def of(*numbers):
    return {TP(TOPIC, number) for number in numbers}


def test_a_rebalance_while_partitions_are_restored_takes_none_from_its_next_owner(tmp_path):
    store = SlowStore(tmp_path)

    async def run():
        host = host_on(store)
        host.on_assigned(of(0, 1))
        restoring = asyncio.create_task(host.restore())
        await asyncio.to_thread(store.asked.wait, 20)
        revoking = asyncio.create_task(host.on_revoked(of(0, 1)))
        await asyncio.sleep(0.05)
        assert not revoking.done(), (
            "the group went on while a claim was under way: it would come after the next owner's"
        )
        store.may.set()
        await revoking
        assert await restoring is None
        host.on_assigned(of(0))
        await host.restore()
        host.on_started(Start(1, {TP(TOPIC, 0): 0}, {}, {}))
        assert host.stats.state == "ready", "it goes on with what is left to it"
        await host.on_revoked(of(0))
        host.on_started(Start(2, {TP(TOPIC, 0): 0}, {}, {}))
        assert host.stats.state == "rebalancing", "a start of before the rebalance"

    asyncio.run(run())
    assert store.claimed == [0, 0], "partition 1 was another worker's by then"


def test_the_rules_are_read_once_for_all_partitions_after_the_claims_and_before_any_state(tmp_path):
    """Between a claim and its load nobody may come with rules that are newer: so the topic's end is looked for in between."""
    store, read = SlowStore(tmp_path), []
    store.may.set()

    async def read_the_rules():
        read.append((list(store.claimed), list(store.loaded)))

    async def run():
        host = host_on(store, read_the_rules)
        host.on_assigned(of(0, 1, 2))
        await host.restore()
        host.on_assigned(of(0, 1, 2, 3))
        await host.restore()
        host.on_assigned(of(0, 1))
        await host.restore()

    asyncio.run(run())
    assert read == [([0, 1, 2], []), ([0, 1, 2, 0, 1, 2, 3], [0, 1, 2])], "and not for what is here already"
    assert store.loaded == [0, 1, 2, 3]


def test_a_rebalance_between_the_claims_and_the_states_begins_nothing_empty(tmp_path):
    """What was claimed and not loaded is loaded when it comes again: it never looks like a partition without a snapshot."""
    store = SlowStore(tmp_path)
    store.may.set()
    content = PartitionSnapshot("risk", 0, {TOPIC: "id"}, {TOPIC: 7}, {}, b"state")
    store.save(0, store.claim(0, None), snapshots.encode(content))

    async def run():
        reading, go_on = asyncio.Event(), asyncio.Event()

        async def read_the_rules():
            reading.set()
            await go_on.wait()

        host = host_on(store, read_the_rules)
        host.on_assigned(of(0))
        restoring = asyncio.create_task(host.restore())
        await reading.wait()
        await host.on_revoked(of(0))
        go_on.set()
        assert await restoring is None
        assert store.loaded == [], "it may be another worker's by then"
        host.on_assigned(of(0))
        assert await host.restore() == {TP(TOPIC, 0): 7}

    asyncio.run(run())


def test_faust_is_told_to_wait_for_the_next_assignment():
    class Thread:
        async def committed(self):
            return {}

    class Handler:
        async def restore(self):
            return None

    consumer = BatchConsumer.__new__(BatchConsumer)
    consumer._thread, consumer.app = Thread(), SimpleNamespace(handler=Handler())
    with pytest.raises(RebalanceAgain):
        asyncio.run(consumer.seek_to_committed())
