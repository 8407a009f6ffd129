"""Reading how workers are: whatever stands on the topic, and whatever the broker says."""

from contextlib import contextmanager

import orjson
import pytest
from kafka.errors import TopicAuthorizationFailedError

import streams.topics
from streams.cli.status import _page
from streams.config import load_settings
from streams.errors import ServerError
from streams.rules.desk import workers_of
from streams.status import StatusReader, newest


@pytest.mark.parametrize(
    "value",
    [
        b"no JSON",
        b"[1]",
        b"{}",
        b'{"worker": 5, "time_ms": 1}',
        b'{"worker": "x", "time_ms": "now"}',
        b'{"worker": "x", "time_ms": 1, "agents": []}',
        b'{"worker": "x", "time_ms": 1, "rules": 3}',
    ],
)
def test_what_is_no_record_of_a_worker_hides_no_other(value):
    well = orjson.dumps({"worker": "a", "time_ms": 1_000})
    found = newest([(b"x", value), (b"a", well), (b"y", value)], 2_000)
    assert [one["worker"] for one in found] == ["a"]


def test_a_worker_of_another_version_that_says_less_is_shown_with_what_it_says():
    found = newest([(b"a", orjson.dumps({"worker": "a", "time_ms": 1_000}))], 2_000)
    assert _page(found)
    assert workers_of(found, "m1cep") == []


class Broker:
    """A consumer's answers; ``fails`` once the reader has begun, or before."""

    def __init__(self, fails):
        self.fails, self.closed = fails, False

    def partitions_for_topic(self, _topic):
        return {0}

    def assign(self, _tps):
        pass

    def seek(self, _tp, _offset):
        pass

    def beginning_offsets(self, tps):
        if self.fails == "before":
            raise TopicAuthorizationFailedError
        return dict.fromkeys(tps, 0)

    end_offsets = beginning_offsets

    def poll(self, timeout_ms):
        raise TopicAuthorizationFailedError(timeout_ms)


@pytest.mark.parametrize("fails", ["before", "while reading"])
def test_what_the_broker_refuses_is_one_line_and_leaves_no_connection_open(monkeypatch, fails):
    broker = Broker(fails)

    @contextmanager
    def consumer(settings, **_options):
        with streams.topics.broker_errors(settings):
            try:
                yield broker
            finally:
                broker.closed = True

    monkeypatch.setattr(streams.topics, "consumer", consumer)
    monkeypatch.setattr(streams.topics, "reachable", lambda _settings: True)
    with pytest.raises(ServerError, match="does not answer as expected"), StatusReader(load_settings()) as reader:
        reader.look()
    assert broker.closed
