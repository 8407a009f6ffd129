"""The demo's producer, a process of its own: real market data and the synthetic account flow, by event time, to Kafka.

    python -m streams.demo.feeder '{"broker": ..., ...}'        # FeedOptions as JSON

It goes as fast as the worker follows (never more than ``ahead`` events before it) or at a multiple of real time, and begins
again with the next pass when the thirty minutes are over: the same real data half an hour later, and new synthetic data. Now and
then it writes what it has sent and when, so that the director can tell how long an alert took.
"""

from __future__ import annotations

import heapq
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from streams.demo import dataset
from streams.demo.synthetic import SyntheticFlow
from streams.files import load_streams
from streams.producer import Producer

if TYPE_CHECKING:
    from collections.abc import Iterator

SPAN_MS = 1_800_000
MARGIN_EVERY_S = 15.0
SYNTHETIC_START_MS = 1_777_689_380_000  # where the real data begins, also when it is not there
MARK_EVERY = 100  # events between two notes of what was sent when
_LOOK_EVERY_S = 0.01
#: A worker with fewer records before it is about to wait; by how much more or less is sent ahead each time that it is heard of.
_BUSY, _MORE, _LESS = 300, 1.02, 0.99
_SHIFTED = ("event_id", "order_id", "buy_order_id", "sell_order_id")


@dataclass(frozen=True)
class FeedOptions:
    """What to feed and how.

    Attributes:
        broker: host:port.
        home: folder with the real data, or None for the synthetic flow alone.
        marks: file that gets a line [event time, wall time s, events sent, pass] every MARK_EVERY events.
        stats: the worker's stats file.
        seed: of the synthetic flow.
        attacks: whether attacks are planted in it.
        events_per_minute: synthetic events a minute of event time.
        bad_records: damaged records a pass.
        speed: multiple of real time; None: as fast as the worker follows.
        ahead: most events sent and not yet processed: an alert waits behind them. On a busy machine it takes longer until the
            worker is heard of, so it becomes more by itself, up to ``most_ahead``, while the worker has nothing to do.
        passes: how many; None: until stopped.
        rpc: host:port of the pre-trade check that orders pass; None: there is none.
        gate: file for what was asked there.
    """

    broker: str
    home: str | None
    marks: str
    stats: str
    seed: int = 7
    attacks: bool = True
    events_per_minute: int = 10_000
    bad_records: int = 21
    speed: float | None = None
    ahead: int = 1_000
    most_ahead: int = 3_000
    passes: int | None = None
    rpc: str | None = None
    gate: str = ""

    def to_json(self) -> str:
        """For the command line."""
        return orjson.dumps(asdict(self)).decode()


def synthetic_flow(options: FeedOptions, number: int) -> SyntheticFlow:
    """The synthetic flow of a pass: another seed, half an hour later."""
    return SyntheticFlow(
        options.seed + number,
        SYNTHETIC_START_MS + number * SPAN_MS,
        SPAN_MS,
        events_per_minute=options.events_per_minute,
        attacks=options.attacks,
        bad_records=options.bad_records,
        margin_every_s=MARGIN_EVERY_S,
    )


Item = tuple[int, str, dict[str, Any] | bytes, bytes | None]  # event time ms, stream, event or raw record, key


def market_items(home: str | None, number: int) -> Iterator[Item]:
    """The real market events of a pass; in later passes with times and ids of their own."""
    found = dataset.load(Path(home)) if home else None
    if found is None:
        return
    for record in found.market_records():
        if number == 0:
            event = orjson.loads(record)
            yield event["ts"], "market", record, event["symbol"].encode()
        else:
            event = orjson.loads(record)
            event["ts"] += number * SPAN_MS
            for name in _SHIFTED:
                if event.get(name):
                    event[name] = f"{event[name]}~{number}"
            yield event["ts"], "market", event, None


def synthetic_items(flow: SyntheticFlow) -> Iterator[Item]:
    """The synthetic events; a damaged record takes the time of the event before it."""
    time_ms = 0
    for stream, event in flow:
        if isinstance(event, dict):
            time_ms = event["ts"]
        yield time_ms, stream, event, None


def items(options: FeedOptions) -> Iterator[tuple[int, Item]]:
    """Pass number and item, by event time."""
    number = 0
    while options.passes is None or number < options.passes:
        flow = synthetic_items(synthetic_flow(options, number))
        for item in heapq.merge(market_items(options.home, number), flow, key=lambda i: i[0]):
            yield number, item
        number += 1


class Pace:
    """Holds the feed back: to a multiple of real time, or to so many events before the worker that it never waits for any."""

    def __init__(self, options: FeedOptions) -> None:
        self._speed = options.speed
        self._least, self._most = options.ahead, options.most_ahead
        self._ahead = float(options.ahead)
        self._heard_s: float | None = None  # when the worker wrote what was read last
        self._stats = Path(options.stats)
        self._first_ms: int | None = None
        self._started_s = time.monotonic()

    def wait(self, time_ms: int, sent: int, stopped: list[bool]) -> None:
        """Return when the next events may go, or when stopped."""
        if self._speed is not None:
            self._first_ms = time_ms if self._first_ms is None else self._first_ms
            due_s = self._started_s + (time_ms - self._first_ms) / 1000 / self._speed
            while not stopped and (rest_s := due_s - time.monotonic()) > 0:
                time.sleep(min(rest_s, 0.1))
            return
        while not stopped and sent - self._processed() > self._ahead:
            time.sleep(_LOOK_EVERY_S)

    def _processed(self) -> int:
        try:
            told = orjson.loads(self._stats.read_bytes())
            risk, heard_s = told["agents"]["risk"], told["time_s"]
        except (OSError, ValueError, KeyError):
            return 0
        if heard_s != self._heard_s and risk["records"]:
            self._heard_s = heard_s
            grown = self._ahead * (_MORE if risk["lag_total"] < _BUSY else _LESS)
            self._ahead = min(self._most, max(self._least, grown))
        return int(risk["records"])


def _allowed(options: FeedOptions, stopped: list[bool]) -> Iterator[tuple[int, Item]]:
    """The items, without orders that the pre-trade check rejects."""
    if options.rpc is None:
        return items(options)
    from streams.demo.pretrade import EVERY_AT_FULL_SPEED, Gate

    planted = synthetic_flow(options, 0).planted
    victims = {one.account for one in planted if one.rule_family == "account_takeover"}
    every = EVERY_AT_FULL_SPEED if options.speed is None else 1
    gate = Gate(options.rpc, Path(options.gate), every=every, always=victims, speed=options.speed)
    return gate.passed(items(options), stopped)


def feed(options: FeedOptions) -> int:
    """Feed until the passes are over or a signal comes; everything sent is acknowledged in the end. Returns how many."""
    stopped: list[bool] = []
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: stopped.append(True))
    pace, sent = Pace(options), 0
    client = {"bootstrap_servers": options.broker, "security_protocol": "PLAINTEXT"}
    with (
        Path(options.marks).open("wb", buffering=0) as marks,
        Producer(client, load_streams(), linger_ms=5) as producer,
    ):

        def mark(time_ms: int, number: int) -> None:
            marks.write(orjson.dumps([time_ms, time.time(), sent, number]) + b"\n")

        time_ms = number = 0
        every = MARK_EVERY if options.speed is None else 1
        for number, (time_ms, stream, event, key) in _allowed(options, stopped):
            if sent % every == 0:
                pace.wait(time_ms, sent, stopped)
                mark(time_ms, number)
            if stopped:
                break
            producer.send(stream, event, key)
            sent += 1
        producer.flush()
        mark(time_ms, number)
        marks.write(b'"done"\n')
    return sent


if __name__ == "__main__":
    feed(msgspec.convert(orjson.loads(sys.argv[1]), FeedOptions))
