"""Which list judges which event: also when a worker dies between an event and a snapshot, and the list changes meanwhile."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from m1cep import Engine, FixedLookups, Parameter, compile_rule, parse_streams
from streams.agents.host import Host
from streams.agents.keeper import Owned
from streams.agents.librarian import _Librarian, as_before, held_until_s
from streams.agents.risk import RiskPartition
from streams.agents.risk_state import pins_in, unpacked
from streams.agents.stats import AgentStats
from streams.cache.content import Content, Pinned, content_of, usable, wanted_by
from streams.cache.kept import Kept
from streams.cache.library import Still
from streams.snapshots import StoreError
from streams.transport import Batch

STREAMS = parse_streams(
    """CREATE TABLE pay (event_id STRING NOT NULL, account STRING, qty DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
       PARTITIONED BY (account) WITH ('topic' = 'pay.v1')"""
)
LISTED = compile_rule("/*\nid: listed\n*/\nSELECT account FROM pay WHERE IN_LIST('bad', account)", STREAMS)
ABOVE = compile_rule(
    "/*\nid: above\nparams: {least: 5}\n*/\nSELECT qty FROM pay WHERE qty > PARAM('max', account)", STREAMS
)


def of(*names, **params):
    return content_of(FixedLookups({"bad": names}, params))


def partition(content, state=None, rules=(LISTED,), at=0):
    lookups = Pinned(content)
    engine = Engine(rules, lookups) if state is None else Engine.restore(rules, unpacked(state)[0], lookups=lookups)
    return RiskPartition({"pay.v1": at}, engine, {"pay.v1": STREAMS["pay"]}, lookups=lookups)


def take(part, account):
    """One event; the accounts alerted, with the version of the list."""
    at = part.positions["pay.v1"]
    value = json.dumps({"event_id": f"e{at}", "account": account, "qty": 6, "ts": at}).encode()
    record = SimpleNamespace(offset=at, timestamp=at, key=b"k", value=value, headers=[])
    outcome = part.take(Batch("pay.v1", 0, 1, at, at + 1, [record]))
    alerts = [json.loads(m.value) for m in outcome.messages]
    return [(a["row"]["account"], a["lists"]["bad"]) for a in alerts]


def version(*names):
    return of(*names).versions()["list bad"]


def offered(library, part, *, caught_up, held_s=None):
    async def offer():
        if held_s is not None:
            part.held_until_s = held_until_s() - 10 + held_s
        librarian = _Librarian(SimpleNamespace(stats=AgentStats()), library, SimpleNamespace())
        return librarian._change(library.now, part, caught_up)

    return asyncio.run(offer())


@pytest.mark.parametrize(
    ("before", "after"), [((), ("eve",)), (("eve",), ())], ids=["put on the list meanwhile", "taken off it meanwhile"]
)
def test_what_was_judged_before_a_crash_is_judged_alike_after_it(tmp_path, before, after):
    r"""snapshot ── eve ── crash · the list changes · from the snapshot: eve ── caught up ── eve
    \__ before _________/                              \__ before _________________/\__ after"""
    kept = Kept(tmp_path)
    kept.save(of(*before))
    running = partition(of(*before))
    take(running, "alice")
    state, at = running.snapshot(), dict(running.positions)["pay.v1"]
    first = take(running, "eve")

    library = Still(of(*after), kept)
    content = as_before(library, *pins_in(state)).content
    again = partition(content, state, at=at)
    assert not offered(library, again, caught_up=False, held_s=10)
    assert take(again, "eve") == first == [("eve", version(*before))] * len(before)
    assert offered(library, again, caught_up=True)
    assert take(again, "eve") == [("eve", version(*after))] * len(after)


def test_a_partition_that_never_catches_up_does_not_keep_an_old_list():
    part = partition(of("old"))
    assert not offered(Still(of("new")), part, caught_up=False, held_s=5)
    assert offered(Still(of("new")), part, caught_up=False, held_s=-1)
    assert part.judges_by.members("bad") == {"new"}


def test_a_version_that_is_nowhere_any_more_gives_way_to_the_one_in_force():
    found = as_before(Still(of("new")), {"list bad": version("old")}, current=True)
    assert found.members("bad") == {"new"}


def test_a_snapshot_from_before_there_were_versions_can_be_read():
    import msgspec

    state = msgspec.msgpack.encode(msgspec.msgpack.decode(partition(of("a")).snapshot())[:3])
    assert pins_in(state) == ({}, True)
    assert unpacked(state)[1:] == ({}, False)


def test_being_away_is_part_of_what_is_in_force():
    closed = compile_rule(
        "/*\non_missing: fail_closed\n*/\nSELECT account FROM pay WHERE IN_LIST('bad', account)", STREAMS
    )
    part = partition(Content(of().entries, current=False), rules=(closed,))
    assert take(part, "alice") == [("alice", "unavailable")]
    assert pins_in(part.snapshot()) == (of().versions(), False)
    assert part.adopt(of())
    assert take(part, "alice") == []


def test_what_rules_cannot_read_stays_as_it_was_and_the_rest_changes():
    before, after = of("a", max=5), of("b", max=Parameter(7, {"k": "much"}))
    found, refused = usable([LISTED, ABOVE], before, after)
    assert found.members("bad") == {"b"}
    assert found.parameter("max") == Parameter(5)
    assert set(refused) == {"param max"}
    assert "expected DOUBLE" in refused["param max"]


def test_rules_want_what_they_read():
    assert wanted_by([LISTED, ABOVE]) == {"list bad", "param max", "rule above"}


class Saving:
    """A keeper that notes what is saved, and can be slow or refuse."""

    def __init__(self, *, refuses=False):
        self.saved, self.may, self.asked, self.refuses = [], asyncio.Event(), asyncio.Event(), refuses

    async def save(self, _number, _generation, positions, state):
        self.asked.set()
        await self.may.wait()
        if self.refuses:
            raise StoreError("the disk is full")
        self.saved.append((positions["pay.v1"], pins_in(state)[0]))
        return len(state)


def hosting(keeper, part):
    stats, nothing = AgentStats(), SimpleNamespace(took=lambda *_: None, steer=lambda *_: None)
    host = Host("risk", frozenset({"pay.v1"}), keeper, None, stats, nothing)
    host.app = SimpleNamespace(batch_consumer=SimpleNamespace(end_of=lambda _: None))
    host._owned, host._taking = {0: Owned(1, part)}, True
    return host


def empty_batch():
    return Batch("pay.v1", 0, 0, 0, 5, [SimpleNamespace(offset=0, timestamp=0, key=b"k", value=b"{}", headers=[])])


def test_a_change_is_saved_before_the_next_batch_is_taken():
    async def run():
        keeper, part = Saving(), partition(of("old"))
        host = hosting(keeper, part)
        changing = asyncio.create_task(host.change(lambda p, _: p.adopt(of("new"))))
        await keeper.asked.wait()
        taking = asyncio.create_task(host.take(empty_batch()))
        await asyncio.sleep(0.05)
        assert part.positions == {"pay.v1": 0}, "a batch was judged by what no snapshot says"
        host._outbox = SimpleNamespace(send=_sent)
        keeper.may.set()
        assert await changing == 1
        await taking
        assert part.positions == {"pay.v1": 5}
        assert keeper.saved == [(0, of("new").versions())]

    asyncio.run(run())


def test_a_change_holds_also_where_the_store_does_not_take_it():
    async def run():
        keeper, part = Saving(refuses=True), partition(of("old"))
        keeper.may.set()
        host = hosting(keeper, part)
        assert await host.change(lambda p, _: p.adopt(of("new"))) == 1
        assert host._owned[0].changed, "it is saved later"
        assert host.stats.snapshot_failures == 1

    asyncio.run(run())
    # and a partition that does not change is not saved

    async def unchanged():
        keeper, part = Saving(), partition(of("old"))
        assert await hosting(keeper, part).change(lambda p, _: p.adopt(of("old"))) == 0
        assert not keeper.asked.is_set()

    asyncio.run(unchanged())


async def _sent(_message):
    done = asyncio.get_running_loop().create_future()
    done.set_result(None)
    return done
