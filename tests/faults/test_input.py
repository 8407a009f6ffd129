"""Input that is not as it should be, with a worker that is killed while it reads it."""

import json
import random

import pytest
from faults import load
from faults.harness import DEAD_LETTERS, LATE, until
from faults.load import Sent

pytestmark = pytest.mark.faults

_BAD = {
    "not JSON": b"not json at all",
    "not an object": b"[1, 2]",
    "cut off": b'{"event_id": "x", "account": "acc',
    "NaN": b'{"event_id": "x", "account": "a", "qty": NaN}',
    "Infinity": b'{"event_id": "x", "account": "a", "qty": 1e999, "ts": 1}',
    "a column missing": b'{"event_id": "x"}',
    "a wrong type": b'{"event_id": "x", "account": 17, "qty": "many", "ts": []}',
    "a time beyond 64 bits": b'{"event_id": "x", "account": "a", "qty": 1, "ts": 1' + b"0" * 40 + b"}",
    "not UTF-8": b'{"event_id": "\xff\xfe", "account": "a"}',
    "deep": b'{"event_id": ' + b"[" * 100_000,
    "deep and closed": b'{"event_id": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "empty": b"",
    "zero bytes": b"\0" * 64,
    "oversized": b'{"event_id": "' + b"x" * 3_000_000 + b'"}',
}


def _killed_in_the_middle(kafka, workers, records):
    """Half of the records, a kill; the rest, and a worker that goes on."""
    half = len(records) // 2
    kafka.send(records[:half])
    worker = workers(sabotage=["snapshot-every=0.2", "session=1", "die-at=acknowledged:6"], wait=False)
    until(lambda: worker.stats["events"] > 0, 30, worker.said)
    kafka.send(records[half:])
    worker.ended()
    return workers()


def _by_id(records):
    """Contents by CloudEvents id; whatever came more than once must have come with the same contents."""
    found = {}
    for r in records:
        identity = dict(r.headers)["ce_id"].decode()
        assert found.setdefault(identity, r.value) == r.value
    return {identity: json.loads(value) for identity, value in found.items()}


def test_duplicated_reordered_and_late_events(kafka, workers, finished):
    """Events come twice, within the declared 200 ms in any order, and ten seconds too late: these go to the late topic."""
    rng = random.Random(31)
    records, late = [], set()
    for n, sent in enumerate(load.make(20_000, 31).records):
        records.append(sent)
        if n % 16 == 15 and n % 5 == 0:  # a producer's batch comes again; not beyond a block, or it would be late
            records += records[-rng.randrange(1, 16) :]
        if n > 2000 and n % 100 == 50 and n < 19_900:
            ts = json.loads(sent.value)["ts"] - 10_000
            late.add(f"olate-{n}")
            records.append(load.record("orders", load.order(f"late-{n}", f"acc-{n % 60}", ts, 99.5)))
    finished(_killed_in_the_middle(kafka, workers, records))
    came = _by_id(kafka.read(LATE))
    assert {json.loads(c["raw"])["event_id"] for c in came.values()} == late
    assert {c["reason"] for c in came.values()} == {"late"}
    assert kafka.read(DEAD_LETTERS) == []


def test_bad_records_among_good_ones(kafka, workers, finished):
    """Each becomes one dead letter; its neighbours are processed as if it were not there."""
    records, bad = load.make(12_000, 32).records, {}
    for n, (name, value) in enumerate(_BAD.items()):
        for stream in load.STREAMS:
            records.insert(1000 + 700 * n, Sent(stream, f"acc-{n}".encode(), value))
            bad.setdefault(stream, []).append(name)
    finished(_killed_in_the_middle(kafka, workers, records))
    came = _by_id(kafka.read(DEAD_LETTERS))
    assert len(came) == len(_BAD) * len(load.STREAMS)
    assert all(letter["reason"] for letter in came.values())
    lengths = sorted(letter["length"] for letter in came.values())
    assert lengths == sorted(len(value) for value in _BAD.values() for _ in load.STREAMS)
    assert kafka.read(LATE) == []
