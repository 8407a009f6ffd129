"""What the dashboard keeps of alerts, and what a client that was away is told."""

import random

import orjson
import pytest

from streams.web.dashboard.alerts import AlertStore, Filter, Position


def value(n, *, rule="wash-trade", severity="high", account="a1", pad=0):
    body = {
        "id": f"{n:032x}",
        "rule": rule,
        "severity": severity,
        "key": {"account": account},
        "row": {"note": "x" * pad},
    }
    return orjson.dumps(body | {"event_time": n, "events": [f"e{n}"]})


def filled(places, **bounds):
    """A store of two partitions that has read records in this order of partitions."""
    store, offsets, kept = AlertStore((0, 0), **bounds), [0, 0], []
    for n, partition in enumerate(places):
        kept.append(store.add(partition, offsets[partition], 1_000 + n, value(n)))
        offsets[partition] += 1
    return store, kept


def test_after_any_position_a_client_gets_what_came_later_and_nothing_twice():
    places = random.Random(3).choices((0, 1), k=60)
    store, kept = filled(places)
    for n, one in enumerate(kept):
        assert [k.id for k in store.since(Position.parse(one.position))] == [k.id for k in kept[n + 1 :]]


def test_a_position_means_the_same_to_a_dashboard_that_has_read_the_partitions_in_another_order():
    _, kept = filled([0, 0, 1, 1, 0])
    other = AlertStore((0, 0))
    for partition, offset, n in ((1, 0, 2), (0, 0, 0), (1, 1, 3), (0, 1, 1), (0, 2, 4)):
        other.add(partition, offset, 1_000, value(n))
    seen = {one.id for one in kept[:3]}
    missed = other.since(Position.parse(kept[2].position))
    assert {one.id for one in missed} == {one.id for one in kept} - seen


def test_what_is_no_longer_kept_cannot_be_replayed():
    store, kept = filled([0, 1] * 10, most=5)
    assert len(store) == 5
    assert store.since(Position.parse(kept[3].position)) is None
    assert len(store.since(Position.parse(kept[15].position))) == 4


def test_memory_is_bounded_by_bytes_too():
    store = AlertStore((0,), most_bytes=10_000)
    for n in range(100):
        store.add(0, n, n, value(n, pad=900))
    assert store.bytes_kept <= 10_000
    assert 5 <= len(store) <= 10


@pytest.mark.parametrize("text", ["", "x", "1@", "@1", "0@1", "0@1.2.3", "5@0.0", "0@-1.0", "9" * 3_000, "0@0.99"])
def test_positions_of_others_are_refused(text):
    store, _ = filled([0, 1])
    position = Position.parse(text)
    assert position is None or store.since(position) is None


def test_the_same_alert_written_twice_is_one():
    store = AlertStore((0,))
    assert store.add(0, 0, 1, value(7)) is not None
    assert store.add(0, 1, 2, value(7)) is None
    assert store.add(0, 2, 3, b"no alert") is None
    assert store.add(0, 3, 3, None) is None
    assert (len(store), store.position.offsets) == (1, (4,))


def test_pages_go_through_everything_once():
    store, kept = filled(random.Random(5).choices((0, 1), k=47))
    found, before = [], None
    while True:
        page, after, total = store.page(Filter(), lambda _: "open", before, 10)
        assert total == 47
        found += page
        if after is None:
            break
        before = Position.parse(after)
    assert [one.id for one in found] == [one.id for one in reversed(kept)]


def test_filters():
    store = AlertStore((0,))
    for n, more in enumerate(({}, {"severity": "low"}, {"rule": "layering"}, {"account": "b2"})):
        store.add(0, n, n, value(n, **more))
    states = {f"{0:032x}": "closed"}

    def count(**wanted):
        return store.page(Filter(**wanted), lambda one: states.get(one, "open"), None, 100)[2]

    assert [count(severity="high"), count(severity="low,high"), count(rule="layering"), count(account="b2")] == [
        3,
        4,
        1,
        1,
    ]
    assert [count(state="open"), count(state="closed"), count(text="LAYER"), count(text="B2")] == [3, 1, 1, 1]
