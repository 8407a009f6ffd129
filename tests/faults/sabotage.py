"""What can be made to go wrong inside a worker, by name: the product itself has no hooks for it.

die-at=STEP:N         kill -9 of itself when it comes to STEP for the Nth time
    sent                  messages of a batch are queued, none is awaited
    acknowledged          the broker has all alerts, the snapshot is not begun
    half-written          half of a snapshot's bytes are on the disk
    not-renamed           a snapshot is on the disk, not under its name
    saved                 the snapshot is saved, nothing is committed
    committed             the positions are committed
raise-at=EVENT            the engine fails on this event
snapshot-every=SECONDS    how often to save
session=SECONDS           the group's session time-out, also shorter than the command allows
slow-sink=SECONDS         every request that writes to Kafka is held back for so long
clock=SECONDS             time.time() is so far off
mutant=NAME               a guarantee is broken on purpose: see ``MUTANTS``; the suite must notice
custody=...               of custody's processes: see ``sabotage_custody.py``
"""

import asyncio
import os
import signal
import time


def apply(text):
    """Make it so in this process."""
    name, _, value = text.partition("=")
    _KINDS[name](value)


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def _die_at(value):
    step, _, count = value.partition(":")
    left = int(count)

    def reached():
        nonlocal left
        left -= 1
        if left == 0:
            _die()

    _STEPS[step](reached)


def _wrap(owner, name, *, before=None, after=None):
    """Call something before or after an async method."""
    inner = getattr(owner, name)

    async def method(self, *arguments):
        if before is not None:
            before()
        found = await inner(self, *arguments)
        if after is not None:
            after()
        return found

    setattr(owner, name, method)


def _at_sent(reached):
    from streams import codec
    from streams.agents.outbox import Outbox

    send = Outbox.send

    async def counted(self, message):
        written = await send(self, message)
        if message.topic != codec.STATUS:  # what a worker says of itself has no part in the order of effects
            reached()
        return written

    Outbox.send = counted


def _at_acknowledged(reached):
    from streams.agents.keeper import Keeper

    _wrap(Keeper, "save", before=reached)


def _at_saved(reached):
    from streams.agents.keeper import Keeper

    _wrap(Keeper, "save", after=reached)


def _at_committed(reached):
    from streams.transport.app import BatchConsumer

    _wrap(BatchConsumer, "commit_positions", after=reached)


def _at_half_written(reached):
    from streams import durable

    create = durable.create

    def half(path, data):
        if data:
            with path.open("xb") as file:
                file.write(data[: len(data) // 2])
                file.flush()
                reached()
            path.unlink()
        create(path, data)

    durable.create = half


def _at_not_renamed(reached):
    from streams import durable

    create = durable.create

    def whole(path, data):
        create(path, data)
        if data:
            reached()

    durable.create = whole


_STEPS = {
    "sent": _at_sent,
    "acknowledged": _at_acknowledged,
    "half-written": _at_half_written,
    "not-renamed": _at_not_renamed,
    "saved": _at_saved,
    "committed": _at_committed,
}


def _raise_at(event_id):
    from m1cep import Engine
    from streams.errors import ShellError

    push_rows = Engine.push_rows

    def failing(self, stream, rows):
        if any(getattr(row, "event_id", None) == event_id for row in rows):
            raise ShellError(f"as asked, at {event_id}")
        return push_rows(self, stream, rows)

    Engine.push_rows = failing


def _host_options(**fixed):
    from streams.agents import host

    real = host.Host
    host.Host = lambda *arguments, **options: real(*arguments, **{**options, **fixed})


def _snapshot_every(value):
    _host_options(snapshot_every_s=float(value))


def _session(value):
    from streams import transport

    app = transport.BatchApp
    transport.BatchApp = lambda *arguments, **options: app(*arguments, **{**options, "session_timeout_s": float(value)})


def _slow_sink(value):
    from aiokafka.client import AIOKafkaClient

    send, delay_s = AIOKafkaClient.send, float(value)

    async def slowly(self, node, request, **options):
        if type(request).__name__.startswith("Produce"):
            await asyncio.sleep(delay_s)
        return await send(self, node, request, **options)

    AIOKafkaClient.send = slowly


def _clock(value):
    shift_s, real, real_ns = float(value), time.time, time.time_ns
    time.time = lambda: real() + shift_s
    time.time_ns = lambda: real_ns() + int(shift_s * 1e9)


# -- mutants ---------------------------------------------------------------------------------------------------------


def _commit_before_acknowledgement():
    """Positions are committed when their messages are queued, the snapshot as ever."""
    from faust.types import TP

    from streams.agents.host import Host

    save = Host._save

    async def early(self, number, owned):
        await self._commit({TP(topic, number): at for topic, at in owned.partition.positions.items()})
        await save(self, number, owned)

    Host._save = early


def _commit_before_snapshot():
    """Positions are committed after the acknowledgements, but before the snapshot is saved."""
    from faust.types import TP

    from streams.agents import host
    from streams.agents.keeper import Keeper

    save, hosts = Keeper.save, {}
    before = host.Host._save

    async def noting(self, number, owned):
        hosts[self._keeper] = self
        await before(self, number, owned)

    async def late(self, number, generation, positions, state):
        await hosts[self]._commit({TP(topic, number): at for topic, at in positions.items()})
        return await save(self, number, generation, positions, state)

    host.Host._save, Keeper.save = noting, late


def _acknowledgements_not_awaited():
    from streams.agents import host

    async def at_once(pending):
        pass

    host.acknowledged = at_once


def _first_offset():
    """Faust is told a batch's first offset, not its last."""
    from streams.transport.batch import Batch

    Batch.offset = property(lambda self: self.records[0].offset)


def _no_generation_check():
    """A store that takes a snapshot from anybody, the last one counts."""
    from streams.snapshots import folder

    save = folder.FolderStore.save

    def unchecked(self, partition, _generation, data):
        owner = max(folder._claims(self._folder / str(partition)), default=0)
        save(self, partition, owner, data)

    folder.FolderStore.save = unchecked


def _snapshot_without_waiting_rows():
    """What waits for its turn by event time is left out."""
    import msgspec

    from m1cep.runtime.merge import Merge

    state = Merge.state

    def without(self):
        *times, inputs = state(self)
        return [*times, {name: [*found[:-1], msgspec.msgpack.encode([])] for name, found in inputs.items()}]

    Merge.state = without


def _torn_snapshots_accepted():
    """Written under its own name, without a temporary file, and the digest is not looked at."""
    from streams import durable
    from streams.snapshots import content, folder

    folder.replace = durable.create
    content._digest = lambda _body: b"0" * content._DIGEST_BYTES


def _positions_later_than_state():
    """The positions of a snapshot are those of the moment of writing, the state that of before."""
    from streams.agents.keeper import Keeper

    save = Keeper.save
    owned_by = {}
    claim = Keeper.claim

    async def noting(self, number, owned):
        found = owned_by[self, number] = await claim(self, number, owned)
        return found

    async def late(self, number, generation, _positions, state):
        now = owned_by[self, number].partition.positions
        return await save(self, number, generation, dict(now), state)

    Keeper.claim, Keeper.save = noting, late


def _failed_save_forgotten():
    """A partition counts as saved although the store has not taken it."""
    from streams.agents.host import Host

    save = Host._save

    async def forgetting(self, number, owned):
        await save(self, number, owned)
        owned.changed = False

    Host._save = forgetting


def _saved_after_a_failure():
    """A save that waits for a batch which then fails takes the state as the failure has left it."""
    from streams.agents.host import Host

    save = Host._save

    async def anyway(self, number, owned):
        failed, self.failed = self.failed, asyncio.get_running_loop().create_future()
        try:
            await save(self, number, owned)
        finally:
            if not self.failed.done():
                self.failed = failed

    Host._save = anyway


def _claimed_counts_as_loaded():
    """A partition that was claimed, and not loaded before the group rebalanced again, looks like one without a snapshot."""
    from streams.agents.host import Host

    claim = Host._claim

    async def at_once(self, this_round):
        claimed = await claim(self, this_round)
        self._owned.update(claimed)
        return claimed

    Host._claim = at_once


def _outbox_never_waits():
    """Messages are queued without end, whatever the broker takes."""
    from streams.agents.outbox import Outbox

    send = Outbox.send

    async def at_once(self, message):
        async def whole():
            return await (await send(self, message))

        return asyncio.ensure_future(whole())

    Outbox.send = at_once


#: By name, what is broken. README.md says which test notices.
MUTANTS = {
    "commit-before-acknowledgement": _commit_before_acknowledgement,
    "commit-before-snapshot": _commit_before_snapshot,
    "acknowledgements-not-awaited": _acknowledgements_not_awaited,
    "first-offset": _first_offset,
    "no-generation-check": _no_generation_check,
    "snapshot-without-waiting-rows": _snapshot_without_waiting_rows,
    "torn-snapshots-accepted": _torn_snapshots_accepted,
    "positions-later-than-state": _positions_later_than_state,
    "failed-save-forgotten": _failed_save_forgotten,
    "saved-after-a-failure": _saved_after_a_failure,
    "claimed-counts-as-loaded": _claimed_counts_as_loaded,
    "outbox-never-waits": _outbox_never_waits,
}


def _custody(value):
    import sabotage_custody

    sabotage_custody.apply(value)


_KINDS = {
    "die-at": _die_at,
    "custody": _custody,
    "raise-at": _raise_at,
    "snapshot-every": _snapshot_every,
    "session": _session,
    "slow-sink": _slow_sink,
    "clock": _clock,
    "mutant": lambda name: MUTANTS[name](),
}
