"""The soak from beginning to end: broker, workers, load, faults; then what should have come, and the report.

load ──▶ Kafka ──▶ workers (hurt on purpose) ──▶ alerts ──▶ received ─┐
  └────▶ files ──▶ m1cep replay ───────────────────────▶ expected ────┴──▶ compare
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from kafka import TopicPartition
from pydantic import SecretStr

from m1cep import Engine
from streams.bench.measure import machine
from streams.codec import ALERTS, DEAD_LETTERS, LATE
from streams.config import PREFIX
from streams.demo.tail import TopicTail
from streams.embedded import EmbeddedBroker
from streams.embedded.process import Process
from streams.errors import ServerError, ShellError, UsageError
from streams.files import load_rules, load_streams, packaged_rules_dir
from streams.lookups import load_lookups
from streams.rekey import all_rekeyed
from streams.soak.compare import compare
from streams.soak.crew import Crew
from streams.soak.faults import SESSION_S, Injector, bursts
from streams.soak.load import STREAMS, LoadOptions
from streams.soak.report import document
from streams.soak.watch import Offsets, Watch
from streams.topic_table import topics_of
from streams.topics import consumer, create_topics, list_topics

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator

    from streams.config import Settings
    from streams.soak.options import SoakOptions

READY_S = 90.0
STUCK_S = 90.0  # after the load: nothing has moved for so long, so nothing more will come
LOOK_EVERY_S = 0.05
#: A topic that is silent for so long of the clock no longer holds the others back. Everything that is decided by the clock may
#: differ from a replay, so this is longer than any hiccup of the load.
IDLE_MS = 5000
#: The embedded broker goes through all batches of a partition at each fetch (20,000 of them: 2 s), so there are few, and larger.
MOST_BATCHES = 2400
SEEN = 2000  # copies come sooner than that, and what is remembered is full within minutes
#: Rules of every kind that alert often: those that come with M1CEP rarely do, and what has no alert misses none.
OWN_RULES = Path(__file__).with_name("rules")


class Soak:
    """One run. ``stop`` ends the load early; the report comes all the same.

    Args:
        settings: home is used, and the broker when it is asked for.
        options: what to do.
        stop: set by Ctrl-C or SIGTERM.
        tell: gets what is being done and how much of it, from 0 to 1.
    """

    def __init__(
        self,
        settings: Settings,
        options: SoakOptions,
        stop: threading.Event,
        tell: Callable[[str, float], None] = lambda _what, _share: None,
    ) -> None:
        self._settings = settings
        self._options = options
        self._stop = stop
        self._tell = tell
        self._group = f"m1cep-soak-{os.getpid()}-{int(time.time())}"
        self._streams = load_streams()
        self._paths = [str(path.absolute()) for path in options.rules or (packaged_rules_dir(), OWN_RULES)]
        self._rules = load_rules(self._paths, self._streams)
        self._inputs = self._base_streams()

    def run(self) -> dict[str, Any]:
        """Run it and return the report as a document, see ``streams.soak.report``.

        Logs, events, alerts and snapshots are kept when the soak fails; ``kept`` in the document says where.

        Raises:
            UsageError: the broker's topics hold records already.
            ShellError: a process could not be started, or was lost in a way that no fault explains.
        """
        folder = Path(tempfile.mkdtemp(prefix="m1cep-soak-"))
        keep = False
        try:
            found, received = self._run(folder)
            keep = not found["ok"]
            if keep:
                (folder / "received.ndjson").write_bytes(b"".join(alert + b"\n" for alert in received))
                found["kept"] = str(folder)
        except ShellError:
            keep = any(folder.glob("worker-*.log"))  # its message may name one
            raise
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)
        return found

    def _run(self, folder: Path) -> tuple[dict[str, Any], Iterable[bytes]]:
        with ExitStack() as servers:
            watch, injector, letters = self._load(folder, servers)
        comparison = compare(self.expected(folder), watch.received, watch.end.closed_ms if watch.end else None)
        found = document(self._options, machine(), len(self._rules), watch, injector.done, letters, comparison)
        return found, watch.received.by_id.values()

    def _base_streams(self) -> list[str]:
        lookups = load_lookups(self._settings.lookups)
        inputs = sorted(Engine(self._rules, lookups).inputs)
        if unknown := [name for name in inputs if name not in STREAMS]:
            raise UsageError(f"the soak has no load for stream {', '.join(unknown)}, which the rules read")
        if other := all_rekeyed(self._rules):
            # Of equal event times in several source partitions a worker takes the order of the partitions, a replay of the file.
            raise UsageError(
                f"a rule reads {', '.join(sorted({one.stream.name for one in other}))} by another key than its topic has: "
                "what a replay makes of that is not exactly what should come",
                "soak the other rules",
            )
        return inputs

    # -- the run -------------------------------------------------------------------------------------------------

    def _load(self, folder: Path, stack: ExitStack) -> tuple[Watch, Injector, dict[str, int]]:
        """Load and hurt; everything that was sent is processed in the end, or nothing moves any more."""
        settings, broker = self._broker(folder, stack)
        partitions = self._topics(settings)
        tail = stack.enter_context(TopicTail(settings))
        topics = [self._streams[name].topic for name in self._inputs]
        offsets = stack.enter_context(Offsets(settings, f"{self._group}-risk", topics, partitions))
        crew = stack.enter_context(Crew(self._worker_command(), folder, environment(settings)))
        self._tell("starting the workers", 0.0)
        for _ in range(self._options.workers):
            crew.add()
        watch = Watch(folder, crew, offsets, tail, broker.process.pid if broker else None)
        self._until(lambda: crew.ready, crew, READY_S, "the workers were not ready")

        load = stack.enter_context(Process("the load", folder / "load.log", grace_s=60.0))
        options = self._load_options(folder, partitions)
        load.start([sys.executable, "-m", "streams.soak.load", options.to_json()], env=environment(settings))
        watch.begin()
        injector = Injector(self._options, crew, offsets)
        while load.alive() and not self._stop.is_set():
            self._look(watch, crew, injector, broker)
            self._tell(self._progress(watch, injector), min(1.0, watch.samples[-1].at_s / self._options.seconds))
        self._tell("ending: waiting for what is under way", 1.0)
        injector.finish()
        load.stop()
        watch.look()
        if watch.end is None:
            raise ServerError(f"the load ended too early: {load.last_words()}")
        self._drain(watch, crew, injector, broker)
        return watch, injector, self._letters(settings)

    def _look(self, watch: Watch, crew: Crew, injector: Injector, broker: EmbeddedBroker | None) -> None:
        if broker is not None:
            broker.check()
        injector.tick()
        crew.supervise()
        watch.look()
        time.sleep(LOOK_EVERY_S)

    def _drain(self, watch: Watch, crew: Crew, injector: Injector, broker: EmbeddedBroker | None) -> None:
        """Until everything is processed, or nothing moves any more; then a moment for the last alerts to be read."""
        moved_s, before = time.monotonic(), -1
        while watch.processed < watch.sent or not injector.idle:
            self._look(watch, crew, injector, broker)
            self._tell(f"ending: {watch.sent - watch.processed:,} records to go", 1.0)
            if watch.processed != before:
                moved_s, before = time.monotonic(), watch.processed
            if time.monotonic() - moved_s > STUCK_S:
                return
        settled_s = time.monotonic() + 2.0
        while time.monotonic() < settled_s:
            self._look(watch, crew, injector, broker)

    def _until(self, done: Callable[[], bool], crew: Crew, timeout_s: float, otherwise: str) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not done():
            crew.supervise()
            if self._stop.is_set():
                raise ShellError("stopped before the load began")
            if time.monotonic() > deadline_s:
                raise ServerError(f"{otherwise} after {timeout_s:.0f} s")
            time.sleep(LOOK_EVERY_S)

    def _progress(self, watch: Watch, injector: Injector) -> str:
        lag = watch.samples[-1].lag
        return f"{watch.sent:,} sent, lag {lag:,}, {len(watch.received.by_id):,} alerts, {len(injector.done)} faults"

    # -- what is started -----------------------------------------------------------------------------------------

    def _broker(self, folder: Path, stack: ExitStack) -> tuple[Settings, EmbeddedBroker | None]:
        state = {"state_dir": folder / "state"}
        if self._options.broker:
            return self._settings.model_copy(update=state), None
        self._tell("starting the embedded broker", 0.0)
        broker = stack.enter_context(EmbeddedBroker(self._settings.folder("embedded")))
        return self._settings.for_own_broker(broker.address).model_copy(update=state), broker

    def _topics(self, settings: Settings) -> int:
        """Make the topics, or see that those that are there are empty; how many partitions they have."""
        states = create_topics(settings, topics_of(self._streams.values()))
        names = {ALERTS, DEAD_LETTERS, LATE, *(self._streams[name].topic for name in self._inputs)}
        if any(state.name in names and not state.created for state in states):
            full = [t.name for t in list_topics(settings) if t.name in names and t.records]
            if full:
                raise UsageError(
                    f"the topics {', '.join(full)} of the broker at {settings.broker} are not empty",
                    "a soak needs a broker of its own: leave out --broker, or give another",
                )
        return next(state.partitions for state in states if state.name == self._streams[self._inputs[0]].topic)

    def _worker_command(self) -> list[str]:
        command = [sys.executable, "-m", "streams.cli", "worker", "--agents", "risk", "--group", self._group]
        # A replay knows no silence: time goes on by events alone.
        command += ["--idle-timeout-ms", str(IDLE_MS), "--silence-ms", "0", "--seen", str(SEEN)]
        command += ["--session-timeout", str(SESSION_S), "--log-level", "warning"]
        return command + [word for path in self._paths for word in ("--rules", path)]

    def _load_options(self, folder: Path, partitions: int) -> LoadOptions:
        options = self._options
        return LoadOptions(
            folder=str(folder),
            seed=options.seed,
            rate=options.rate,
            seconds=options.seconds,
            partitions=partitions,
            linger_ms=5 if options.broker else max(20, round(options.seconds * 1000 / MOST_BATCHES)),
            streams=tuple(self._inputs),
            bursts=bursts(options),
            damage="damage" in options.faults,
            repeat="repeat" in options.faults,
        )

    # -- what came of it -----------------------------------------------------------------------------------------

    def expected(self, folder: Path) -> Iterator[bytes]:
        """The alerts that ``m1cep replay`` makes of what was sent.

        Raises:
            ServerError: the replay failed.
        """
        self._tell("replaying what was sent", 1.0)
        out = folder / "expected.ndjson"
        command = [sys.executable, "-m", "streams.cli", "replay"]
        command += self._paths
        command += [word for name in self._inputs for word in ("--events", f"{name}={folder / name}.ndjson")]
        with Process("the replay", folder / "replay.log") as replay:
            replay.start([*command, "--out", str(out)], env=environment(self._settings))
            if replay.wait() != 0:
                raise ServerError(f"the replay of what was sent failed: {replay.last_words()}")
        with out.open("rb") as lines:
            for line in lines:
                yield line.rstrip(b"\n")

    @staticmethod
    def _letters(settings: Settings) -> dict[str, int]:
        """How many dead letters and late events there are, each source record counted once."""
        found: dict[str, int] = {}
        for name, topic in (("dead_letters", DEAD_LETTERS), ("late", LATE)):
            sources = {(body["topic"], body["partition"], body["offset"]) for body in _bodies(settings, topic)}
            found[name] = len(sources)
        return found


def _bodies(settings: Settings, topic: str) -> Iterator[dict[str, Any]]:
    with consumer(settings) as reader:
        reader.assign([TopicPartition(topic, p) for p in sorted(reader.partitions_for_topic(topic) or ())])
        reader.seek_to_beginning()
        while found := reader.poll(timeout_ms=1000):
            for records in found.values():
                for record in records:
                    yield orjson.loads(record.value)


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a process that is to have these settings and no others."""
    env = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    for name, value in settings:
        if value is not None:
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            env[PREFIX + name.upper()] = text.lower() if isinstance(value, bool) else text
    return env
