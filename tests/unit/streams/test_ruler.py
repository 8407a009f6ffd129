"""When a rule of the topic is in force in a worker, and when the worker says so: without a broker."""

import asyncio
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from letters import LETTERS

from m1cep import FixedLookups, compile_rule
from streams.agents import risk
from streams.agents.keeper import Keeper
from streams.agents.quarantine import Quarantine
from streams.agents.ruler import Ruler
from streams.agents.stats import AgentStats
from streams.cache.content import Content, content_of
from streams.rules import decide
from streams.rules.book import Book
from streams.snapshots import FolderStore

HIGH = compile_rule("/*\nid: high\n*/\nSELECT k FROM letters WHERE v > 3", LETTERS)
LISTED = compile_rule("/*\nid: listed\n*/\nSELECT k FROM letters WHERE IN_LIST('bad', k)", LETTERS)


class Library:
    """Has what it is given; ``want`` never brings anything in time."""

    now = Content()

    def want(self, _labels):
        pass


class Partition:
    number, rules_revision, running = 0, 0, ()

    def __init__(self):
        self.quarantine = Quarantine(0)

    def switch(self, standings, revision, _content):
        self.rules_revision = revision
        self.running = sorted(name for name, standing in standings.items() if standing.runs)


class World:
    """A worker with one partition that follows the topic; ``taking`` is False while its group rebalances."""

    def __init__(self):
        self.book, self.library, self.taking = Book([], LETTERS), Library(), True
        self.ruler = Ruler(self.book, self.library, frozenset({"letters"}), lambda rule: rule)
        self.stats, self.partitions, self.position = AgentStats(), [Partition()], 0

    async def each(self, act):
        for partition in self.partitions if self.taking else ():
            act(partition)

    async def goes_on(self, turns=3):
        """The topic is looked at so often."""
        left = asyncio.Semaphore(turns)

        async def wait():
            if left.locked():
                raise asyncio.CancelledError
            await left.acquire()

        with pytest.raises(asyncio.CancelledError):
            await self.ruler.follow(self, SimpleNamespace(wait=wait, position=0))

    def deploys(self, rule):
        record = decide.deployed(rule, None, decide.Who("ann", 1000), shadow=False, approval=False)
        self.book.take(rule.id.encode(), record.to_json())

    def told(self):
        return {rule.id: rule.mode for rule in self.stats.rules.values()}


def test_a_rule_is_told_as_in_force_when_every_partition_runs_it_and_not_while_the_group_rebalances():
    async def run():
        world = World()
        world.taking = False
        world.deploys(HIGH)
        await world.goes_on()
        assert world.told() == {}, "the partition stays with us, and still runs what it ran before"
        world.taking = True
        await world.goes_on()
        assert world.partitions[0].running == ["high"]
        assert world.told() == {"high": "active"}

    asyncio.run(run())


def test_a_worker_without_partitions_has_a_rule_at_once():
    async def run():
        world = World()
        world.partitions = []
        world.deploys(HIGH)
        await world.goes_on()
        assert world.told() == {"high": "active"}

    asyncio.run(run())


def test_a_rule_whose_list_comes_late_runs_when_it_is_there():
    """The cache may take longer to give a long list than the worker can wait: what was quarantined for it is looked at again."""

    async def run():
        world = World()
        world.deploys(LISTED)
        await world.goes_on()
        assert world.told() == {"listed": "quarantined"}
        revision = world.ruler.revision
        world.library.now = content_of(FixedLookups({"other": ["x"]}))
        await world.goes_on()
        assert world.ruler.revision == revision, "nothing is different for the partitions"
        world.library.now = content_of(FixedLookups({"bad": ["a"]}))
        await world.goes_on()
        assert world.partitions[0].running == ["listed"]
        assert world.told() == {"listed": "active"}

    asyncio.run(run())


def test_records_may_be_taken_while_another_thread_looks():
    """A rebalance reads the topic to its end while rules are looked at in a thread."""
    book = Book([], LETTERS)
    standings = [SimpleNamespace(id=f"r{n}", rule=None) for n in range(50)]
    over, failed = threading.Event(), []

    def look():
        while not over.is_set():
            try:
                assert len(book.standings) + len(book.rules) <= len(standings)
            except (KeyError, RuntimeError) as error:
                failed.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(200):
            for standing in standings:
                book.put(standing.id.encode(), standing)
            for standing in standings:
                book.put(standing.id.encode(), None)
    finally:
        over.set()
        looking.join()
        sys.setswitchinterval(interval)
    assert failed == []


class Waits(Library):
    """May wait for the cache whenever it is asked: says where it was."""

    def __init__(self):
        self.on_the_loop = []

    def want(self, _labels):
        self._note()

    def find(self, _versions, *, current):
        self._note()
        return replace(Content(), current=current), []

    def on_change(self, _tell):
        pass

    def _note(self):
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.on_the_loop.append(False)
        else:
            self.on_the_loop.append(True)


def test_the_event_loop_never_waits_for_the_cache(tmp_path):
    """Neither at the start nor when partitions are taken up, with rules that were deployed since."""
    library, book, positions = Waits(), Book([HIGH], LETTERS), {LETTERS["letters"].topic: 0}

    async def catch_up():
        record = decide.deployed(LISTED, None, decide.Who("ann", 1000), shadow=False, approval=False)
        book.take(LISTED.id.encode(), record.to_json())

    async def follow():
        await asyncio.sleep(0)

    async def run():
        store = FolderStore(tmp_path)

        async def new_host(name, _topics, open_partition, versions, _shadow, before_restore):
            keeper = Keeper(name, store, open_partition, {}, versions, before_restore)
            return SimpleNamespace(keeper=keeper, stats=AgentStats(), beside=lambda work: work.close())

        deployed = SimpleNamespace(book=book, catch_up=catch_up, wait=follow, position=0)
        options = SimpleNamespace(rules=[HIGH], lookups=library, streams=LETTERS, deployed=deployed, seen=100)
        host = await risk.build(SimpleNamespace(options=options, new_host=new_host))
        generation = (await host.keeper.claim(0, None)).generation
        await host.keeper.before_loading()
        first = host.keeper.open_partition(0, positions, None)  # as the host does where nothing was saved: on the loop
        await host.keeper.save(0, generation, positions, first.snapshot())
        await host.keeper.load(0)

    asyncio.run(run())
    assert len(library.on_the_loop) >= 3
    assert not any(library.on_the_loop)
