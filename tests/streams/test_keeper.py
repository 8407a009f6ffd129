"""Which snapshot a partition goes on from: the newest that can be used, or none, or no start at all."""

import asyncio
import json
from functools import partial
from types import SimpleNamespace

import pytest

from m1cep import Engine, EngineError, compile_rule, parse_streams
from streams import snapshots
from streams.agents.keeper import Keeper
from streams.agents.risk import RiskPartition
from streams.agents.risk_state import unpacked
from streams.errors import ShellError
from streams.snapshots import FolderStore, PartitionSnapshot
from streams.transport import Batch

TOPICS, RULES = {"pay.v1": "id-1"}, {"big": "v1"}


def opened(_number, positions, state):
    if state == b"unreadable":
        raise EngineError("as asked")
    return SimpleNamespace(positions=dict(positions), state=state)


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "snapshots")


def keeper(store, *, agent="risk", topics=TOPICS, rules=RULES):
    return Keeper(agent, store, opened, topics, rules)


async def own(one, number, former=None):
    """Claim, and load what is not here: as the host does."""
    owned = await one.claim(number, former)
    if owned is not former:
        owned.partition = await one.load(number)
    return owned


def saved(store, *states, number=0, **of):
    async def run():
        one = keeper(store, **of)
        owned = await own(one, number)
        for at, state in enumerate(states, 1):
            await one.save(number, owned.generation, {"pay.v1": at * 10}, state)

    asyncio.run(run())


def goes_on(store, number=0, **of):
    """State and position that a new owner goes on from; None: empty."""
    found = asyncio.run(own(keeper(store, **of), number)).partition
    return None if found is None else (found.state, found.positions["pay.v1"])


def newest(store):
    return next(iter(store.load(0)))


def overwrite(store, data):
    open(newest(store).name, "wb").write(data)  # noqa: PTH123, SIM115 - a test's disk fault


def test_the_newest_is_taken_with_its_positions(store):
    assert goes_on(store) is None
    saved(store, b"one", b"two")
    assert goes_on(store) == (b"two", 20)


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[:7] + bytes([snapshots.content.VERSION + 1]) + data[8:],
        lambda _: b"",
        lambda _: b"something else altogether",
    ],
    ids=["torn", "a bit flipped", "of a later version", "empty", "foreign"],
)
def test_what_cannot_be_used_is_passed_over_and_the_one_before_taken(store, harm):
    saved(store, b"one", b"two")
    overwrite(store, harm(newest(store).data))
    assert goes_on(store) == (b"one", 10)


def test_so_is_what_belongs_elsewhere_or_what_the_engine_refuses(store):
    saved(store, b"one", b"two")
    foreign = PartitionSnapshot("another", 0, TOPICS, {"pay.v1": 99}, RULES, b"foreign")
    overwrite(store, snapshots.encode(foreign))
    assert goes_on(store) == (b"one", 10)
    saved(store, b"unreadable")
    assert goes_on(store) == (b"one", 10)


def test_when_none_can_be_used_it_does_not_begin_empty(store):
    saved(store, b"unreadable", b"unreadable")
    with pytest.raises(ShellError, match=r"none of the 2 snapshots of partition 0 in .* can be used.*; put back"):
        goes_on(store)


def test_a_topic_made_anew_is_refused_since_offsets_mean_other_records(store):
    saved(store, b"one")
    with pytest.raises(
        ShellError, match=r"topic pay.v1 was deleted and made anew.*; remove the snapshots of partition 0"
    ):
        goes_on(store, topics={"pay.v1": "id-2"})


def test_state_in_memory_is_kept_only_as_long_as_nobody_else_has_owned_the_partition(store):
    async def run():
        first, second = keeper(store), keeper(store)
        owned = await own(first, 0)
        await first.save(0, owned.generation, {"pay.v1": 10}, b"one")
        assert await own(first, 0, owned) is owned
        theirs = await own(second, 0)
        await second.save(0, theirs.generation, {"pay.v1": 20}, b"two")
        with pytest.raises(snapshots.SupersededError):
            await first.save(0, owned.generation, {"pay.v1": 11}, b"old")
        again = await own(first, 0, owned)
        assert (again.partition.state, again.partition.positions) == (b"two", {"pay.v1": 20})

    asyncio.run(run())


# -- a rule set that changes, with the risk agent's own state

PAY = """CREATE TABLE pay (event_id STRING NOT NULL, account STRING, qty DOUBLE, ts TIMESTAMP(3),
WATERMARK FOR ts AS ts) PARTITIONED BY (account) WITH ('topic' = 'pay.v1')"""
PAIR = """SELECT * FROM pay MATCH_RECOGNIZE (PARTITION BY account ORDER BY ts MEASURES LAST(A.event_id) AS last_id
PATTERN (A{{2}}) WITHIN INTERVAL '1' HOUR DEFINE A AS A.qty > {least})"""


def test_rules_that_are_the_same_go_on_and_changed_ones_begin_empty(store):
    streams = parse_streams(PAY)

    def open_risk(rules, _number, positions, state):
        engine = Engine(rules) if state is None else Engine.restore(rules, unpacked(state)[0], changed=True)
        return RiskPartition(positions, engine, {"pay.v1": streams["pay"]})

    def take(part, offset):
        raw = json.dumps({"event_id": f"e{offset}", "account": "a", "qty": 50, "ts": 1000 + offset}).encode()
        record = SimpleNamespace(offset=offset, timestamp=None, key=b"a", value=raw, headers=[])
        return part.take(Batch("pay.v1", 0, 1, offset, offset + 1, [record])).rules

    def rules(**least):
        return [compile_rule(PAIR.format(least=n), streams, f"{name}.sql") for name, n in least.items()]

    async def run():
        before, after = rules(same=1, changed=1, gone=1), rules(same=1, changed=2, new=1)
        one = Keeper("risk", store, partial(open_risk, before), TOPICS, {r.id: r.version for r in before})
        owned, part = await own(one, 0), open_risk(before, 0, {"pay.v1": 0}, None)
        assert take(part, 0) == []
        await one.save(0, owned.generation, part.positions, part.snapshot())
        two = Keeper("risk", store, partial(open_risk, after), TOPICS, {r.id: r.version for r in after})
        part = (await own(two, 0)).partition
        assert part.positions == {"pay.v1": 1}
        assert take(part, 1) == ["same"]
        assert sorted(take(part, 2)) == ["changed", "new"]

    asyncio.run(run())
