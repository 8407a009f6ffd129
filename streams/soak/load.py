"""The soak's producer, a process of its own: the synthetic account flow to Kafka at a steady rate, and to files.

    python -m streams.soak.load '{"folder": ..., ...}'        # LoadOptions as JSON; the broker is that of the settings

The files, one a stream, hold what was sent in the order in which it was sent: ``m1cep replay`` makes of them the alerts that are
expected. Event time runs SPEED times as fast as the clock, so that windows of an hour are full after a minute and memory can be
flat. Events are sent out of order by less than the delay that the streams declare. Each partition gets an event before all
others, so that no topic counts as silent when these come, and in the end, or on SIGTERM, one of many days later, which closes
every window and every wait.
"""

from __future__ import annotations

import heapq
import math
import random
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec
import orjson
from kafka.partitioner.default import murmur2

from streams.config import load_settings
from streams.demo.damage import KINDS, damaged
from streams.demo.synthetic import SyntheticFlow
from streams.files import load_streams
from streams.producer import Producer

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAMS = ("orders", "fills", "accounts", "market")
SPEED = 60  # event time to the clock
START_MS = 1_777_689_380_000  # event time of the beginning; any would do
PASS_MS = 1_800_000  # of event time, after which the flow goes on with another seed
OPENED_BEFORE_MS = 60_000  # so much before the others
OPENED_S = 1.0  # and then the workers have so long to take them
CLOSED_AFTER_MS = 8 * 86_400_000  # the last events are so much later than the others: longer than rules wait
DISORDER_MS = 150  # of event time; the streams declare 200
PULSE_MS = 6_000  # of event time: in no partition the accounts are silent for longer
DAMAGED_EVERY_S = 5.0
REPEATED = 0.002  # share of the events
TICK_S = 0.01
AT_ONCE = 500  # events between two looks at the clock, at most
_IDS = ("event_id", "order_id", "trade_id", "request_id")
_ROOM_FOR_COPIES = 50  # events later, at most, comes the copy


@dataclass(frozen=True)
class LoadOptions:
    """What to send and how.

    Attributes:
        folder: gets ``<stream>.ndjson`` and ``marks``: a line [event time, wall time s, records sent] now and then, in the end
            a line {"end": {...}}, see LoadEnd.
        seed: of everything.
        rate: events per second.
        seconds: how long.
        partitions: of each topic.
        linger_ms: how long events wait for others to go with them.
        streams: those that any rule reads; nothing is sent to others.
        bursts: from, length (in seconds from the start), and how many times the rate.
        damage: whether damaged records are among the events.
        repeat: whether some events are sent twice.
    """

    folder: str
    seed: int
    rate: int
    seconds: float
    partitions: int
    linger_ms: int = 5
    streams: tuple[str, ...] = STREAMS
    bursts: tuple[tuple[float, float, float], ...] = ()
    damage: bool = True
    repeat: bool = False

    def to_json(self) -> str:
        """For the command line."""
        return orjson.dumps(asdict(self)).decode()


@dataclass
class LoadEnd:
    """What was sent, all of it acknowledged.

    Attributes:
        events: whole events, each counted once.
        damaged: records that are no events.
        repeated: second copies of events.
        closed_ms: event time of the last events, which close everything.
    """

    events: int = 0
    damaged: int = 0
    repeated: int = 0
    closed_ms: int = 0


Item = tuple[int, str, dict[str, Any] | bytes]  # event time ms at which it is sent, stream, event or damaged record


def keys_of_partitions(partitions: int) -> list[str]:
    """Names that, as keys, belong to partitions 0, 1, 2, ..."""
    found: dict[int, str] = {}
    n = 0
    while len(found) < partitions:
        name = f"soak-{n}"
        found.setdefault((murmur2(name.encode()) & 0x7FFFFFFF) % partitions, name)
        n += 1
    return [found[p] for p in range(partitions)]


def flow(options: LoadOptions) -> Iterator[tuple[str, dict[str, Any]]]:
    """The synthetic flow without end, by event time; ids are of one pass only."""
    per_minute = max(1, round(options.rate * 60 / SPEED))
    accounts = max(120, math.ceil(per_minute / 40))
    number = 0
    while True:
        start_ms = START_MS + number * PASS_MS
        synthetic = SyntheticFlow(
            options.seed * 10_000 + number, start_ms, PASS_MS, accounts=accounts, events_per_minute=per_minute
        )
        for stream, event in synthetic:
            assert isinstance(event, dict)  # it was not asked for damaged records
            for name in _IDS:
                if event.get(name):
                    event[name] = f"{event[name]}~{number}"
            yield stream, event
        number += 1


def pulses(keys: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """An event in each partition now and then that means nothing to any rule, so that time goes on everywhere."""
    number = 0
    while True:
        number += 1
        for key in keys:
            event = {"event_id": f"{key}-{number}", "account": key, "kind": "pulse", "ts": START_MS + number * PULSE_MS}
            yield "accounts", event


def items(options: LoadOptions) -> Iterator[Item]:
    """Everything but the last events, in the order of sending, without end."""
    chance = random.Random(f"m1cep soak {options.seed} order")  # noqa: S311 - repeatable on purpose
    both = heapq.merge(flow(options), pulses(keys_of_partitions(options.partitions)), key=lambda item: item[1]["ts"])
    held: list[tuple[int, int, str, dict[str, Any] | bytes]] = []
    next_damaged_ms, damaged_sent = START_MS + _damaged_after_ms(chance), 0
    for n, (stream, event) in enumerate(both):
        time_ms = event["ts"]
        while held and held[0][0] <= time_ms:
            at_ms, _, its_stream, what = heapq.heappop(held)
            yield at_ms, its_stream, what
        heapq.heappush(held, (time_ms + chance.randrange(DISORDER_MS), n, stream, event))
        if options.damage and time_ms >= next_damaged_ms:
            yield time_ms, *_damaged(chance, damaged_sent, time_ms)
            next_damaged_ms, damaged_sent = time_ms + _damaged_after_ms(chance), damaged_sent + 1


def _damaged_after_ms(chance: random.Random) -> int:
    return round(chance.expovariate(1 / (DAMAGED_EVERY_S * SPEED * 1000)))


def _damaged(chance: random.Random, number: int, time_ms: int) -> tuple[str, bytes]:
    # Not those of two megabytes: a broker with default settings does not take them.
    kinds = [kind for kind in KINDS if kind != "oversized"]
    stream = chance.choice(("orders", "fills", "accounts"))
    return stream, damaged(kinds[number % len(kinds)], stream, number, time_ms)


def everywhere(options: LoadOptions, name: str, time_ms: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The first or the last events: stream, key, event; one in each partition of each stream."""
    one: dict[str, Any] = {"order_id": name, "trade_id": name, "symbol": "SOAK", "price": 1.0, "qty": 1.0}
    more: dict[str, dict[str, Any]] = {
        "orders": {**one, "action": "new", "side": "buy"},
        "fills": {**one, "side": "buy"},
        "accounts": {"kind": "pulse"},
        "market": {**one, "action": "deleted", "side": "bid"},
    }
    for stream in options.streams:
        for key in keys_of_partitions(options.partitions):
            owner = {"symbol": key} if stream == "market" else {"account": key}
            yield stream, key, {"event_id": f"{key}-{name}", **more[stream], **owner, "ts": time_ms}


def due(options: LoadOptions, elapsed_s: float) -> float:
    """How many events should have been sent after so many seconds."""
    extra_s = sum(
        max(0.0, min(elapsed_s, start + length) - start) * (factor - 1) for start, length, factor in options.bursts
    )
    return options.rate * (elapsed_s + extra_s)


class _Sender:
    """Sends and writes down."""

    def __init__(self, options: LoadOptions, producer: Producer, stack: ExitStack) -> None:
        folder = Path(options.folder)
        self._options = options
        self._producer = producer
        self._files: dict[str, IO[bytes]] = {
            name: stack.enter_context((folder / f"{name}.ndjson").open("wb", buffering=1 << 20))
            for name in options.streams
        }
        self._marks = stack.enter_context((folder / "marks").open("wb", buffering=0))
        self._chance = random.Random(f"m1cep soak {options.seed} copies")  # noqa: S311 - repeatable on purpose
        self._copies: list[tuple[int, str, dict[str, Any]]] = []
        self.end = LoadEnd()
        self.newest_ms = START_MS

    @property
    def sent(self) -> int:
        return self.end.events + self.end.damaged + self.end.repeated

    def send(self, stream: str, what: dict[str, Any] | bytes, key: bytes | None = None) -> None:
        if isinstance(what, bytes):
            self.end.damaged += 1
            self._files[stream].write(what + b"\n")
        else:
            self.end.events += 1
            self.newest_ms = max(self.newest_ms, what["ts"])
            self._files[stream].write(orjson.dumps(what) + b"\n")
            if self._options.repeat and self._chance.random() < REPEATED:
                self._copies.append((self.sent + self._chance.randrange(_ROOM_FOR_COPIES), stream, what))
        self._producer.send(stream, what, key)
        if self._copies and self._copies[0][0] <= self.sent:
            self.send_copies(all_of_them=False)

    def send_copies(self, *, all_of_them: bool) -> None:
        """Send what is to come a second time; the files have it once."""
        while self._copies and (all_of_them or self._copies[0][0] <= self.sent):
            _, stream, event = self._copies.pop(0)
            self._producer.send(stream, event)
            self.end.repeated += 1

    def mark(self) -> None:
        self._marks.write(orjson.dumps([self.newest_ms, time.time(), self.sent]) + b"\n")

    def open(self) -> None:
        """Send the first events."""
        self._everywhere("begin", START_MS - OPENED_BEFORE_MS)
        time.sleep(OPENED_S)

    def close(self) -> None:
        """Send the last events, and say that everything was sent and acknowledged."""
        self.send_copies(all_of_them=True)
        self._producer.flush()
        self.mark()
        self.end.closed_ms = self.newest_ms + CLOSED_AFTER_MS
        self._everywhere("end", self.end.closed_ms)
        for file in self._files.values():
            file.flush()
        self._marks.write(orjson.dumps({"end": asdict(self.end)}) + b"\n")

    def _everywhere(self, name: str, time_ms: int) -> None:
        for stream, key, event in everywhere(self._options, name, time_ms):
            self._files[stream].write(orjson.dumps(event) + b"\n")
            self._producer.send(stream, event, key.encode())
            self.end.events += 1
        self._producer.flush()


def load(options: LoadOptions) -> LoadEnd:
    """Load until the time is over or a signal comes."""
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stopped.append(number))
    with ExitStack() as stack:
        client = load_settings().client_settings()
        producer = stack.enter_context(Producer(client, load_streams(), linger_ms=options.linger_ms))
        sender = _Sender(options, producer, stack)
        sender.open()
        started_s, allowed = time.monotonic(), 0.0
        for _, stream, what in items(options):
            while sender.sent >= allowed and not stopped:
                elapsed_s = time.monotonic() - started_s
                if elapsed_s >= options.seconds:
                    stopped.append(0)
                allowed = min(due(options, elapsed_s), sender.sent + AT_ONCE)
                sender.mark()
                if sender.sent >= allowed:
                    time.sleep(TICK_S)
            if stopped:
                break
            if stream in options.streams:
                sender.send(stream, what)
        sender.close()
    return sender.end


if __name__ == "__main__":
    load(msgspec.convert(orjson.loads(sys.argv[1]), LoadOptions))
