"""What is around the workers of a simulation: the store of snapshots, the group, the broker's side of what is written."""

import asyncio
from collections import defaultdict

from aiokafka.errors import KafkaTimeoutError
from faults.oracle import Broken

from streams import snapshots
from streams.snapshots import KEPT, Saved, StoreError, SupersededError

PARTITIONS = 2
SESSION_S, REBALANCE_S, HEARTBEAT_S = 1.5, 5.0, 0.4


class Store:
    """Snapshots in memory, with the rules of the real ones: a generation is checked, the highest one counts."""

    where = "memory"

    def __init__(self, world):
        self._world = world
        self._owner = defaultdict(int)
        self._saved = defaultdict(list)  # partition -> [(generation, sequence, data)], in order of writing
        self._sequence = 0
        self._safe = {}  # partition -> positions that the last owner has saved

    def claim(self, partition, mine=None):
        self._reach()
        if mine is not None and self._owner[partition] == mine:
            return mine
        self._owner[partition] += 1
        self._world.note(f"store: partition {partition} claimed as {self._owner[partition]}")
        return self._owner[partition]

    def check(self, partition, generation):
        """Refuse who is not the owner."""
        if self._owner[partition] != generation:
            raise SupersededError(f"partition {partition} is {self._owner[partition]}'s, not {generation}'s", "")

    def order(self, saved):
        """The newest of the highest generation last."""
        return sorted(saved)

    def save(self, partition, generation, data):
        """In two parts, as a folder does it: a paused owner may come between the check and the write."""
        self._reach()
        self.check(partition, generation)
        yield
        self._reach()
        self._sequence += 1
        self._saved[partition].append((generation, self._sequence, data))
        newest = self.order(self._saved[partition])[-1]
        if newest[1] == self._sequence and generation == self._owner[partition]:
            self._safe[partition] = snapshots.decode(data).positions
        self._saved[partition] = self.order(self._saved[partition])[-KEPT:]
        self._world.note(f"store: partition {partition} saved by {generation}")
        yield

    def load(self, partition):
        """What an owner gets must be at least as new as what any owner before it had saved."""
        found = self.order(self._saved[partition])
        positions = snapshots.decode(found[-1][2]).positions if found else {}
        behind = {t: at for t, at in self._safe.get(partition, {}).items() if positions.get(t, 0) < at}
        if behind:
            raise Broken(f"the newest snapshot of partition {partition} stands at {positions}, and {behind} was saved")
        for generation, sequence, data in reversed(found):
            yield Saved(f"{partition}/{generation}-{sequence}", data)

    def close(self):
        pass

    def _reach(self):
        if self._world.now_s < self._world.store_down_until_s:
            raise StoreError("no space left", "")


class Group:
    """The coordinator: who is a member, who has which partitions, whose commits count."""

    def __init__(self, world):
        self._world = world
        self.generation = 0
        self.assignment = {}
        self.committed = {}
        self.moved = False  # since somebody has looked
        self._seen_s = {}
        self._joined = set()
        self._forming_since_s = None

    @property
    def stable(self):
        return self._forming_since_s is None

    def join(self, name):
        """Take part in the next generation."""
        self._seen_s[name] = self._world.now_s
        if self.stable:
            self._form()
        self._joined.add(name)
        self.look()

    def leave(self, name):
        if self._seen_s.pop(name, None) is not None:
            self._form()

    def heartbeat(self, name, generation):
        """Whether the member may go on as it is."""
        self.look()
        if name not in self._seen_s:
            return False
        self._seen_s[name] = self._world.now_s
        return self.stable and generation == self.generation

    def commit(self, name, generation, positions):
        self.look()
        if name not in self._seen_s or generation != self.generation:
            self._world.note(f"group: commit of {name} refused")
            return False
        self.committed.update(positions)
        self.moved = True
        return True

    def look(self):
        """Forget who is silent; give out the partitions when all have joined."""
        now_s = self._world.now_s
        for name, seen_s in list(self._seen_s.items()):
            if now_s - seen_s > SESSION_S:
                self._world.note(f"group: {name} is silent")
                self.leave(name)
        if self.stable:
            return
        if now_s - self._forming_since_s > REBALANCE_S:
            for name in self._seen_s.keys() - self._joined:
                del self._seen_s[name]
        self._joined &= self._seen_s.keys()
        if self._joined and self._joined == self._seen_s.keys():
            names = sorted(self._joined)
            shift = self._world.rng.randrange(len(names))
            self.generation += 1
            self.assignment = {
                name: {p for p in range(PARTITIONS) if names[(p + shift) % len(names)] == name} for name in names
            }
            self._forming_since_s = None
            self._world.note(f"group: generation {self.generation} is {self.assignment}")

    def _form(self):
        self._forming_since_s = self._world.now_s
        self._joined = set()


class Outbox:
    """Messages leave a process, arrive, and are acknowledged, each after a while; some twice, some never."""

    def __init__(self, process):
        self._process = process

    async def send(self, message):
        world, process = self._process.world, self._process
        if world.rng.random() < 0.1:
            await asyncio.sleep(world.delay())  # the queue is full
        future = process.loop.create_future()
        process.loop.call_later(world.delay(), self._leave, message, future)
        return future

    def _leave(self, message, future):
        world, fate = self._process.world, self._process.world.rng.random()
        if world.faults_left and fate < 0.002:
            world.note(f"{self._process.name}: a message is lost")
            self._process.loop.call_later(1.0, future.set_exception, KafkaTimeoutError())
            return
        world.later(world.delay(), self._arrive, message, future, 2 if fate > 0.98 else 1)

    def _arrive(self, message, future, times):
        self._process.world.sink.extend([message] * times)
        if self._process.alive:
            self._process.loop.call_later(self._process.world.delay(), _acknowledge, future)


def _acknowledge(future):
    if not future.done():
        future.set_result(None)
