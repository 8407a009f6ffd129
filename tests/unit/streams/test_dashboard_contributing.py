"""Which of the records are an alert's events."""

import asyncio
from types import SimpleNamespace

import orjson
import pytest

from m1cep import parse_streams
from streams.agents.outbox import keyed_partition
from streams.web.dashboard import contributing
from streams.web.dashboard.contributing import Contributing, Search, _partition_of

STREAMS = parse_streams("""
CREATE TABLE t (event_id STRING NOT NULL, a STRING, q DECIMAL(10, 2), ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
  PARTITIONED BY (a) WITH ('topic' = 't.v1');
CREATE TABLE u (a STRING, us BIGINT, WATERMARK FOR us AS us) PARTITIONED BY (a) WITH ('topic' = 'u.v1');
""")
T, U = STREAMS["t"], STREAMS["u"]


def event(name, **more):
    return orjson.dumps({"event_id": name, "a": "x", "q": "1.10", "ts": 5, **more})


def test_events_are_found_by_id_decoded_and_put_in_order_of_time():
    search = Search([T], ["one", "two", "gone"])
    for value in (event("two", ts=9), event("other"), b"nonsense", None, event("one"), event("one")):
        search.take("t.v1", value)
    found = search.result()
    seen = [(one["event_id"], one["stream"], one["time_us"]) for one in found.events]
    assert seen == [("one", "t", 5_000), ("two", "t", 9_000)]
    assert found.events[0]["row"] == {"event_id": "one", "a": "x", "q": "1.10", "ts": 5}
    assert (found.missing, found.records, search.done) == (["gone"], 6, False)


def test_an_id_that_is_written_with_escapes_is_found():
    search = Search([T], ['a"b', "ü"])
    search.take("t.v1", event('a"b'))
    search.take("t.v1", b'{"event_id" : "\\u00fc", "a": "x", "q": 1, "ts": 5}')
    assert search.done


def test_an_id_in_another_column_is_not_the_events():
    search = Search([T], ["one"])
    search.take("t.v1", event("other", a="one"))
    assert not search.done


def test_events_without_an_id_are_known_by_their_contents():
    value = b'{"a": "x", "us": 7}'
    from m1cep.model.alert import event_digest

    name = event_digest(U.decoder.decode(value))
    search = Search([U], [name])
    search.take("u.v1", b'{"a": "y", "us": 7}')
    search.take("u.v1", value)
    assert [one["event_id"] for one in search.result().events] == [name]


def test_the_key_of_an_alert_says_where_its_events_are():
    assert _partition_of(T, {"a": "x", "b": "y"}, 4) == [keyed_partition(b"x", 4)]
    assert _partition_of(T, {"b": "y"}, 4) == []
    assert _partition_of(T, {"a": None}, 4) == []


@pytest.mark.parametrize("in_time", [False, True])
def test_what_was_not_found_in_time_is_sought_again_when_the_alert_is_opened_again(monkeypatch, in_time):
    """A busy machine reads little in four seconds; events that are gone for good are not sought twice."""
    clock, searches = [0.0], []

    class Reader:
        def __init__(self, **_settings):
            pass

        async def start(self):
            searches.append("begun")

        async def stop(self):
            pass

    async def nowhere(*_):
        return {contributing.TopicPartition("t.v1", 0): (0, 1)}

    async def reads_nothing(*_):
        clock[0] += 1.0 if in_time else 60.0

    monkeypatch.setattr(contributing, "AIOKafkaConsumer", Reader)
    monkeypatch.setattr(contributing, "_where", nowhere)
    monkeypatch.setattr(contributing, "_read", reads_nothing)
    monkeypatch.setattr(contributing, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    seeker = Contributing({})

    async def open_twice():
        alert = {"id": "a1", "key": {}, "events": ["gone"]}
        return [await seeker.of(alert, [T], 1_000) for _ in range(2)]

    assert [found.missing for found in asyncio.run(open_twice())] == [["gone"]] * 2
    assert len(searches) == (1 if in_time else 2)
