"""Many browsers, one encoding; nobody's slowness is another's."""

import asyncio

import orjson

from streams.web.dashboard import hub as hubs
from streams.web.dashboard.alerts import AlertStore, Filter
from streams.web.dashboard.hub import HEARTBEAT, Hub, frames_of


def alerts(count, *, pad=0, **more):
    store = AlertStore((0,))
    body = {
        "rule": "r",
        "severity": "high",
        "key": {"account": "a"},
        "row": {"x": "y" * pad},
        "event_time": 0,
        "events": [],
    }
    return [store.add(0, n, 0, orjson.dumps({"id": str(n), **body, **more})) for n in range(count)]


def test_all_clients_get_the_same_bytes():
    async def run():
        hub = Hub()
        clients = [hub.join_alerts(Filter()) for _ in range(3)]
        hub.alerts(alerts(2))
        hub.flush()
        return [await client.next(1) for client in clients]

    first, *others = asyncio.run(run())
    assert first.count(b"\nid: ") + first.startswith(b"id: ") == 2
    assert all(other is first for other in others)


def test_a_client_that_does_not_take_is_dropped_and_holds_nothing():
    async def run():
        hub = Hub()
        slow, quick = hub.join_alerts(Filter()), hub.join_alerts(Filter())
        took = 0
        for _ in range(100):
            hub.alerts(alerts(5, pad=20_000))
            hub.flush()
            while quick.waiting:
                took += (await quick.next(1)).count(b"data: ")
            assert slow.waiting <= hubs.MOST_FRAME_BYTES + hubs.CHUNK_BYTES
        return slow, took, len(hub), hub.dropped, await slow.next(1)

    slow, took, left, dropped, last = asyncio.run(run())
    assert (slow.dropped, slow.waiting, last) == (True, 0, b"")
    assert (took, left, dropped) == (500, 1, 1)


def test_of_a_document_only_the_newest_waits():
    async def run():
        hub = Hub()
        client = hub.join_live()
        for n in range(1_000):
            hub.document("overview", b'{"n":%d}' % n)
        return await client.next(1), await client.next(0.01)

    assert asyncio.run(run()) == (b'event: overview\ndata: {"n":999}\n\n', HEARTBEAT)


def test_a_filter_is_the_clients_own():
    async def run():
        hub = Hub()
        high, low = hub.join_alerts(Filter(severity="high")), hub.join_alerts(Filter(severity="low"))
        hub.alerts(alerts(1))
        hub.flush()
        return await high.next(0.01), await low.next(0.01)

    high, low = asyncio.run(run())
    assert b"data: " in high
    assert low == HEARTBEAT


def test_who_joins_later_does_not_get_what_was_gathered_before():
    async def run():
        hub = Hub()
        early = hub.join_alerts(Filter())
        hub.alerts(alerts(1))
        late = hub.join_alerts(Filter())
        return await early.next(0.01), await late.next(0.01)

    early, late = asyncio.run(run())
    assert b"data: " in early
    assert late == HEARTBEAT


def test_alerts_are_handed_out_without_being_flushed_by_hand():
    async def run():
        hub = Hub()
        client = hub.join_alerts(Filter())
        hub.alerts(alerts(1))
        return await client.next(10)

    assert b"data: " in asyncio.run(run())


def test_line_ends_in_an_alert_do_not_end_the_event():
    store = AlertStore((0,))
    raw = b'{"id":"1","rule":"r","severity":"low",\n\n"key":{},\r\n"row":{},"event_time":0,"events":[]}'
    (frame,) = frames_of([store.add(0, 0, 0, raw)])
    assert frame.count(b"\n\n") == 1
    assert frame.endswith(b"\n\n")
    assert orjson.loads(frame.partition(b"data: ")[2]) == orjson.loads(raw)


def test_frames_are_of_some_size():
    frames = frames_of(alerts(50, pad=10_000))
    assert len(frames) > 5
    assert max(map(len, frames)) <= hubs.CHUNK_BYTES
    assert b"".join(frames).count(b"data: ") == 50
