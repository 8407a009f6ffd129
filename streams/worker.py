"""The worker: one process, its agents' Faust apps, and the watch over the broker.

start:  topics checked ──▶ apps started ──▶ group joined ──▶ snapshots loaded, partitions sought ──▶ ready
end:    SIGTERM, SIGINT ──▶ no more batches ──▶ acknowledgements ──▶ snapshots ──▶ commit ──▶ group left     exit code 0
        an agent fails  ──▶ nothing saved nor committed: what came since the last snapshot is read again     exit code 1
        broker silent for broker_timeout_s                                                            exit code 3
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import structlog
from aiokafka.errors import KafkaError

from m1cep.errors import M1cepError
from streams.agents import AGENTS
from streams.agents.context import AgentContext, WorkerOptions
from streams.agents.outbox import Cluster, Outbox
from streams.agents.stats import AgentStats, StatsFile
from streams.agents.vitals import Vitals
from streams.agents.watchdog import Watchdog
from streams.errors import ServerError, UsageError
from streams.readiness import is_ready
from streams.rekey import all_rekeyed
from streams.status import StatusWriter

if TYPE_CHECKING:
    from streams.agents import Running
    from streams.cache.copies import Copies

_log = structlog.get_logger(__name__)

#: Every part of the end is bounded, so that a hanging broker or thread cannot keep the process.
_STOP_TIMEOUT_S = 4.0
_STOP_AFTER_FAILURE_S = 1.0
_PROBE_EVERY_S = 1.0
_OF_RULES = frozenset({"risk", "rekey"})


def run_worker(options: WorkerOptions) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        ShellError: why it could not start or had to end.
    """
    for name in options.agents:
        if name not in AGENTS:
            raise UsageError(f"there is no agent {name!r}", f"agents are: {', '.join(sorted(AGENTS))}")
    if not options.agents or len(set(options.agents)) < len(options.agents):
        raise UsageError("expected at least one agent, and each once", f"agents are: {', '.join(sorted(AGENTS))}")
    _quiet_libraries()
    _calm_collector()
    try:
        asyncio.run(_Worker(options).run())
    except M1cepError:
        raise
    except KafkaError as error:
        raise ServerError(f"the Kafka broker at {options.broker} refused or failed: {error!r}") from error


def _with_helpers(options: WorkerOptions) -> WorkerOptions:
    """The options, with the agents that write what those asked for need to read."""
    needed = []
    if "risk" in options.agents and all_rekeyed(options.rules):
        needed.append("rekey")
    if "paper_exchange" in options.agents:
        needed.append("sequencer")
    return replace(options, agents=list(dict.fromkeys((*options.agents, *needed))))


class _Worker:
    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._stats = options.stats
        self._stats_file = StatsFile(options.stats_file) if options.stats_file else None
        self._running: list[Running] = []
        copies = cast("Copies", options.lookups) if hasattr(options.lookups, "invalidations") else None
        self._vitals = Vitals(options.group, self._stats, self._running, copies=copies)
        self._status: StatusWriter | None = None
        self._failure: BaseException | None = None
        self._cluster = Cluster(None, {})

    async def run(self) -> None:
        stop = _stop_on_signals()
        self._stats.update({name: AgentStats() for name in self._options.agents})
        self._write_stats()
        try:
            async with AsyncExitStack() as stack:
                outbox = await stack.enter_async_context(Outbox(self._options.client, f"{self._options.group}-out"))
                await self._read_rules(stack, outbox)
                stack.push_async_callback(self._stop)
                await self._build(outbox)
                await self._open_web(stack)
                await self._serve(stop, outbox)
        except BaseException:
            self._mark("failed")
            raise
        else:
            self._mark("stopped")
        finally:
            self._write_stats()
        _log.info("worker.stopped", agents=list(self._options.agents))

    async def _read_rules(self, stack: AsyncExitStack, outbox: Outbox) -> None:
        """What was deployed decides what agents read: it is read before they are built."""
        options = self._options
        if options.live_rules and not _OF_RULES.isdisjoint(options.agents):
            options = await self._with_deployed(options, stack, outbox)
        self._options = _with_helpers(options)
        self._stats.update({name: AgentStats() for name in self._options.agents if name not in self._stats})

    async def _with_deployed(self, options: WorkerOptions, stack: AsyncExitStack, outbox: Outbox) -> WorkerOptions:
        from streams.rules.book import Book
        from streams.rules.follow import Follower
        from streams.rules.record import RULES

        if not (await outbox.look([RULES])).partitions.get(RULES):
            raise ServerError(f"the broker at {options.broker} has no topic {RULES}", "make it: m1cep topics create")
        deployed = Follower(options.client, Book(options.rules, options.streams))
        stack.push_async_callback(deployed.stop)
        await deployed.start()
        return replace(options, rules=deployed.book.rules, deployed=deployed)

    async def _build(self, outbox: Outbox) -> None:
        options = self._options
        for name in options.agents:
            context = AgentContext(options, outbox, self._stats[name])
            self._running.append(await AGENTS[name](context))
        inputs = {topic for agent in self._running for topic in agent.topics}
        self._cluster = await outbox.look(sorted(inputs))  # what they write to shows when they write
        self._vitals.broker_s = time.monotonic()

    async def _open_web(self, stack: AsyncExitStack) -> None:
        """The web server, where the user asked for it or an agent has pages."""
        from streams.web.mount import has_pages, routes

        options = self._options
        if options.web.asked or has_pages(self._running):
            from streams.web.server import WebServer

            server = WebServer(options.web, routes(self._vitals, options.ready))
            self._vitals.web = (await stack.enter_async_context(server)).url

    async def _serve(self, stop: asyncio.Event, outbox: Outbox) -> None:
        """Start the apps and wait for the end, whatever brings it."""
        self._status = StatusWriter(self._vitals, lambda: is_ready(self._vitals, self._options.ready), outbox)
        tasks = {
            asyncio.create_task(stop.wait()),
            asyncio.create_task(self._watch_broker(outbox)),
            asyncio.create_task(self._watch_agents()),
            asyncio.create_task(Watchdog(self._running, outbox, self._options.stall_timeout_s).watch()),
            asyncio.create_task(self._tell()),
            asyncio.create_task(self._vitals.beat()),
            asyncio.create_task(self._status.run()),
            *(asyncio.create_task(agent.run()) for agent in self._running),
        }
        watched = tasks | {agent.failed for agent in self._running}
        try:
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                future.result()
        except BaseException as error:
            self._failure = error
            raise
        finally:
            for task in tasks:
                task.cancel()

    async def _watch_agents(self) -> None:
        while True:
            for agent in self._running:
                if trouble := agent.trouble():
                    raise trouble
            await asyncio.sleep(_PROBE_EVERY_S / 10)

    async def _watch_broker(self, outbox: Outbox) -> None:
        """Notice a broker that is gone, is another one, or has lost its topics; clients would silently go on trying."""
        self._vitals.broker_s = answered_s = time.monotonic()
        while True:
            await asyncio.sleep(_PROBE_EVERY_S)
            try:
                self._compare(await asyncio.wait_for(outbox.look(self._cluster.partitions), _PROBE_EVERY_S * 2))
                self._vitals.broker_s = answered_s = time.monotonic()
            except (KafkaError, TimeoutError) as error:
                _log.debug("broker.silent", error=repr(error))
            silent_s = time.monotonic() - answered_s
            if silent_s > self._options.broker_timeout_s:
                raise ServerError(f"the Kafka broker at {self._options.broker} has not answered for {silent_s:.0f} s")

    def _compare(self, now: Cluster) -> None:
        if now.id != self._cluster.id:
            raise ServerError(
                f"another Kafka cluster answers at {self._options.broker} than when the worker started: {now.id}, was "
                f"{self._cluster.id}",
                "the embedded broker forgets everything when it ends: make the topics and start the worker again",
            )
        changed = [topic for topic, count in self._cluster.partitions.items() if now.partitions.get(topic) != count]
        if changed:
            raise ServerError(
                f"the broker at {self._options.broker} no longer has {', '.join(changed)} as at the worker's start",
                "make the topics and start the worker again",
            )

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(self._options.stats_every_s)
            for agent in self._running:
                agent.measure()
            self._write_stats()

    async def _stop(self) -> None:
        for agent in self._running:
            if self._failure is None:
                await agent.close()
            else:
                agent.abandon()
            try:
                await asyncio.wait_for(agent.stop(), _STOP_AFTER_FAILURE_S if self._failure else _STOP_TIMEOUT_S)
            except Exception as error:  # noqa: BLE001 - the reason of the end is known already, and this is not it
                _log.debug("worker.stop_failed", agent=agent.name, error=repr(error))
        if self._status is not None and self._failure is None:
            await self._status.end()

    def _mark(self, state: str) -> None:
        for stats in self._stats.values():
            stats.state = state

    def _write_stats(self) -> None:
        if self._stats_file:
            self._stats_file.write(self._stats, self._vitals.web)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _calm_collector() -> None:
    """Make Python's cycle collector look less often: records and rows come by the thousand and hold no cycles.

    By default it walks through them at every 700th; with one rule that is a third of the worker's time (186 k against 280 k
    events/s, measured).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _quiet_libraries() -> None:
    """Faust, mode and aiokafka log each retry and traceback; the worker says the same in one line.

    With logs at debug they are shown.
    """
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        return
    for name in ("aiokafka", "faust", "mode", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
