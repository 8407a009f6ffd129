"""A whole cluster in one process and in no time: workers that crash, pause and come back, decided by a seed.

What is real: ``Host``, ``Keeper``, ``Acknowledgements``, ``RiskPartition``, ``Flow``, the engine, snapshots' bytes. What is
played: the log, Faust and the group (rebalances, sessions, commits), acknowledgements, the store's medium, the clock.

    world ─┬─ process 0: an event loop of its own ─┬─ membership ── on_revoked, on_assigned, restore, on_started
           │                                       ├─ fetch ── batches cut at random ── take
           ├─ process 1 ...                        └─ the host's own timers: snapshots, idle topics
           └─ events: messages arrive, records are produced, faults strike

Every effect (a message arrives, a snapshot is written, a position is committed) has a moment of its own, drawn at random,
and faults strike at any moment between them; what was handed to a thread (the store) is done in parts. Nothing waits: the
clock jumps to whatever comes next.
"""

import asyncio
import heapq
import random
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

from faults import load, oracle
from faults.cluster import HEARTBEAT_S, PARTITIONS, Group, Outbox, Store
from faults.oracle import Broken
from faults.virtual import Loop
from faust.types import TP

from streams import codec
from streams.agents import flow, host, keeper
from streams.agents.risk import build
from streams.agents.stats import AgentStats
from streams.transport.batch import Batch, EndOfPartition, Start

RULES = {name: load.RULES[name] for name in ("pattern", "absence", "window", "view")}
_STEPS_MOST = 60_000
_STARTS_MOST = 200


class Process:
    """One worker: the host of the risk agent, and in Faust's place what calls it."""

    def __init__(self, world, number):
        self.world = world
        self.name = f"worker {number}"
        self.alive = True
        self.asleep_until_s = 0.0
        self.loop = Loop(world)
        self.conf = SimpleNamespace(id="m1cep-risk")
        self.batch_consumer = self
        self._generation = 0
        self._epoch = 0
        self._read = {}  # what is assigned -> the next offset to fetch
        self._queue = asyncio.Queue(3)
        self._stopping = self._fails = False
        self._starting = None
        self.loop.create_task(self._main())

    # -- what the agent's builder and the host ask for ---------------------------------------------------------------

    async def new_host(self, agent, topics, open_partition, rules, _outputs=(), before_restore=None):
        world = self.world
        ids = dict.fromkeys(topics, "id")

        def open_failing(*arguments):
            partition = open_partition(*arguments)
            partition.take = self._failing(partition.take)
            return partition

        async def read_the_rules():
            await asyncio.sleep(world.delay())
            await before_restore()

        found = host.Host(
            agent,
            frozenset(topics),
            keeper.Keeper(agent, world.store, open_failing, ids, rules, read_the_rules),
            Outbox(self),
            AgentStats(),
            flow.Flow(2.0, 0, 20_000),
            snapshot_every_s=0.4,
        )
        found.attach(self)
        return found

    @property
    def options(self):
        return SimpleNamespace(rules=self.world.rules, streams=self.world.streams, lookups=None, deployed=None, seen=50)

    def serve_batches(self, take):
        self._take = take

    async def commit_positions(self, positions):
        await asyncio.sleep(self.world.delay())
        return self.world.group.commit(self.name, self._generation, positions)

    def end_of(self, tp):
        # Not known until everything is there: what comes to an idle topic afterwards might be late, rightly.
        world = self.world
        known = tp in self._read and not world.to_produce
        return EndOfPartition(len(world.log[tp]), int(world.now_s * 1000)) if known else None

    def steer(self, held_back, max_records):
        pass

    # -- Faust's part ------------------------------------------------------------------------------------------------

    async def _main(self):
        try:
            await self._live()
        except Exception as error:  # noqa: BLE001 - it ends this process alone
            self.world.note(f"{self.name}: ends with {error!r}")
            if isinstance(error, Broken):
                self.world.broken = error
        finally:
            self.alive = False

    async def _live(self):
        self._host = await build(self)
        tasks = [self.loop.create_task(work()) for work in (self._be_member, self._fetch, self._work)]
        done, _ = await asyncio.wait([*tasks, self._host.failed], return_when=asyncio.FIRST_COMPLETED)
        why = next((f.exception() for f in done if f.exception() is not None), None)
        if why is None and self.world.rng.random() < 0.5:
            await self._host.close()  # else it is interrupted in what it does, and then asked to save
        for task in tasks:
            task.cancel()
        if why is None:
            await self._host.close()
            self.world.group.leave(self.name)
            self.world.note(f"{self.name}: ends")
        else:
            await asyncio.sleep(self.world.delay())  # until somebody has noticed
            self._host.abandon()
            raise why

    async def _be_member(self):
        group = self.world.group
        while not self._stopping:
            if not group.heartbeat(self.name, self._generation):
                await self._rebalance(group)
            await asyncio.sleep(HEARTBEAT_S * self.world.rng.uniform(0.5, 1))

    async def _rebalance(self, group):
        beating = self.loop.create_task(self._keep_beating(group))  # from another thread, in truth
        await self._host.on_revoked(set(self._read))
        group.join(self.name)
        while not group.stable or self.name not in group.assignment:
            await asyncio.sleep(0.1)
            if not group.heartbeat(self.name, 0) and self.name not in group._seen_s:
                group.join(self.name)
        generation = group.generation
        numbers = group.assignment[self.name]
        tps = {TP(topic, number) for topic in self._host.topics for number in numbers}
        self._host.on_assigned(tps)
        beating.cancel()
        self._generation = generation
        former, self._starting = self._starting, self.loop.create_task(self._start(group, tps))
        await asyncio.sleep(self.world.delay())
        if former is not None:  # Faust's signal that it is not to go on comes after the assignment
            former.cancel()

    async def _start(self, group, tps):
        committed = {
            tp: group.committed.get(tp, 0) for tp in tps
        }  # before what is saved is looked at, as Faust's consumer
        await asyncio.sleep(self.world.delay())
        try:
            wanted = await self._host.restore()
        except Exception:  # noqa: BLE001 - the host has said so in ``failed``
            return
        if wanted is None:
            return
        await asyncio.sleep(self.world.delay())
        positions = {tp: wanted.get(tp, committed[tp]) for tp in tps}
        self._epoch += 1
        self._read = dict(positions)
        self._host.on_started(Start(self._epoch, positions, {}, {}))

    async def _keep_beating(self, group):
        while True:
            group.heartbeat(self.name, self._generation)
            await asyncio.sleep(HEARTBEAT_S)

    async def _fetch(self):
        world = self.world
        while True:
            await asyncio.sleep(world.delay() * 4)
            full = [tp for tp, at in self._read.items() if at < len(world.log[tp])]
            if not full:
                await asyncio.sleep(0.2)
                continue
            tp = world.rng.choice(sorted(full))
            at = self._read[tp]
            records = world.log[tp][at : at + world.rng.randrange(1, 30)]
            self._read[tp] = at + len(records)
            await self._queue.put(Batch(tp.topic, tp.partition, self._epoch, at, at + len(records), records))

    async def _work(self):
        while True:
            await self._take(await self._queue.get())

    # -- faults ------------------------------------------------------------------------------------------------------

    def kill(self):
        """Nothing of it happens any more; others find out by its silence."""
        self.alive = False

    def sleep(self):
        """As with SIGSTOP: nothing of it happens for a while, then everything."""
        self.asleep_until_s = self.world.now_s + self.world.rng.uniform(0, 4)

    def fail(self):
        """The next batch is a rule's last."""
        self._fails = True

    def _failing(self, take):
        def failing(batch):
            outcome = take(batch)
            if self._fails:
                raise ZeroDivisionError("as asked, in the middle of a batch")
            return outcome

        return failing

    def stop(self):
        """A clean end, as after SIGTERM."""
        self._stopping = True


@dataclass
class World:
    """Everything that one seed decides.

    Attributes:
        seed: of all decisions.
        faults_left: how many strike.
        steps: what happened, for the report of a failure.
    """

    seed: int
    rules: list
    streams: dict
    faults_left: int = 8
    now_s: float = 0.0
    store_down_until_s: float = 0.0
    steps: list = field(default_factory=list)
    sink: list = field(default_factory=list)
    log: dict = field(default_factory=lambda: defaultdict(list))
    broken: Broken | None = None

    def __post_init__(self):
        self.rng = random.Random(self.seed)
        self.store, self.group = Store(self), Group(self)
        self._events = []
        self._processes = []
        self.records = load.make(240, self.seed, accounts=4, every_ms=40).records
        self.to_produce = list(reversed(self.records))
        self.later(0, self._produce)
        self.later(self.rng.uniform(0, 3), self._strike)

    def note(self, text):
        self.steps.append(f"{self.now_s:8.3f}  {text}")

    def delay(self):
        """Mostly milliseconds, now and then very long."""
        draw = self.rng.random()
        return draw * 0.02 if draw < 0.97 else (draw - 0.97) * 50

    def later(self, delay_s, act, *arguments):
        heapq.heappush(self._events, (self.now_s + delay_s, self.rng.random(), act, arguments))

    def run(self):
        """Until everything is processed, saved and committed; then hold it against the oracle.

        Raises:
            Broken: it is not so.
        """
        try:
            return self._run()
        except Broken as error:
            told = "\n".join(self.steps)
            raise Broken(f"seed {self.seed}: {error}\n{told}") from error

    def _run(self):
        for _ in range(_STEPS_MOST):
            if self.broken:
                raise self.broken
            if self.group.moved and self._over():
                break
            self._step()
        else:
            raise Broken(f"it does not come to an end: {self.group.committed}")
        alerts = [m.value for m in self.sink if m.topic == codec.ALERTS]
        others = [m for m in self.sink if m.topic != codec.ALERTS]
        if others:
            raise Broken(f"late events or dead letters were invented: {others[0]}")
        return len(alerts), oracle.compare(alerts, oracle.expected(self.records, RULES, seen=50))

    def _over(self):
        self.group.moved = bool(self.to_produce or self.faults_left)
        return not (self.to_produce or self.faults_left) and all(
            self.group.committed.get(tp) == len(found) for tp, found in self.log.items()
        )

    def _step(self):
        running = [p for p in self._processes if p.alive]
        if not running or (len(running) < 3 and self.faults_left and self.rng.random() < 0.0005):
            if len(self._processes) == _STARTS_MOST:
                raise Broken("its workers do not stay alive")
            self._processes.append(Process(self, len(self._processes)))
            self.note(f"{self._processes[-1].name}: starts")
            return
        now_s, process = self._events[0][0] if self._events else None, None
        for other in running:
            at = other.loop.next_s()
            if at is not None and (now_s is None or max(at, other.asleep_until_s) < now_s):
                now_s, process = max(at, other.asleep_until_s), other
        self.now_s = max(self.now_s, now_s)
        if process is not None:
            process.loop.step()
        else:
            _, _, act, arguments = heapq.heappop(self._events)
            act(*arguments)

    def _produce(self):
        for _ in range(min(len(self.to_produce), self.rng.randrange(1, 60))):
            sent = self.to_produce.pop()
            log = self.log[TP(self.streams[sent.stream].topic, sent.partition % PARTITIONS)]
            log.append(SimpleNamespace(offset=len(log), timestamp=0, key=sent.key, value=sent.value, headers=()))
        if self.to_produce:
            self.later(self.rng.uniform(0, 0.8), self._produce)

    def _strike(self):
        """One fault; the next one comes later."""
        if self.faults_left:
            self.faults_left -= 1
            self.later(self.rng.uniform(0, 1.5), self._strike)
        alive = [p for p in self._processes if p.alive]
        kind = self.rng.choice(("kill", "kill", "kill", "sleep", "sleep", "stop", "fail", "store", "start"))
        if kind == "store":
            self.store_down_until_s = self.now_s + self.rng.uniform(0, 2)
            self.note("the store is full")
        elif kind == "start" or not alive:
            self._processes.append(Process(self, len(self._processes)))
            self.note(f"{self._processes[-1].name}: starts")
        else:
            process = self.rng.choice(alive)
            self.note(f"{process.name}: {kind}")
            getattr(process, kind)()


class _Notes:
    """What the product logs, among the steps."""

    def __init__(self, world):
        self._world = world

    def __getattr__(self, _level):
        def note(event, **about):
            self._world.note(f"{event} {about}")

        return note


@contextmanager
def _played(world):
    """The world's clock and notes in the product's modules."""
    clock = SimpleNamespace(monotonic=lambda: world.now_s, perf_counter=lambda: world.now_s)
    before = [(m, n, getattr(m, n)) for m in (host, flow, keeper) for n in ("time", "_log") if hasattr(m, n)]
    for module, name, _ in before:
        setattr(module, name, clock if name == "time" else _Notes(world))
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def simulate(seed):
    """Live through one seed.

    Returns:
        How many alerts came, and how many of them more than once.

    Raises:
        Broken: the guarantee does not hold; with the list of steps.
    """
    world = World(seed, oracle.compiled(tuple(RULES.items())), oracle.streams())
    with _played(world):
        return world.run()
