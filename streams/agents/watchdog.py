"""Ends a worker that no longer moves: the group believes it alive, since heartbeats come from another thread.

    loop blocked       (a rule or a library hangs)           seen by a thread of our own
    position stands    while the topic's end grows            seen by asking the broker, not the consumer, which may be what hangs

A supervisor starts the worker again, and its partitions go on from their snapshots, here or elsewhere.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from aiokafka.errors import KafkaError

from streams.errors import ExitCode, ShellError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faust.types import TP

    from streams.agents import Running
    from streams.agents.outbox import Outbox

_log = structlog.get_logger(__name__)

_LOOKS = 10  # in the time that a worker may stand still


@dataclass(slots=True)
class _Stand:
    """A partition number as it was when it last moved."""

    positions: Mapping[TP, int]
    ends: Mapping[TP, int]
    since_s: float


class StandingStill:
    """Finds partition numbers none of whose positions has moved while an end has grown, for longer than allowed.

    A topic alone may stand: it may be far ahead of the others in event time and wait for them.

    Args:
        allowed_s: how long that may be.
    """

    def __init__(self, allowed_s: float) -> None:
        self._allowed_s = allowed_s
        self._stands: dict[int, _Stand] = {}

    def look(self, positions: Mapping[TP, int], ends: Mapping[TP, int], now_s: float) -> list[int]:
        """The numbers that stand still.

        Args:
            positions: the next offset to process of every partition that we own.
            ends: where the broker says that they end now.
            now_s: a monotonic clock.
        """
        found: list[int] = []
        for number in {tp.partition for tp in positions}:
            here = {tp: at for tp, at in positions.items() if tp.partition == number}
            stand = self._stands.get(number)
            if stand is None or stand.positions != here:
                self._stands[number] = _Stand(here, {tp: ends[tp] for tp in here if tp in ends}, now_s)
            elif now_s - stand.since_s > self._allowed_s and any(
                ends.get(tp, 0) > max(end, here[tp]) for tp, end in stand.ends.items()
            ):
                found.append(number)
        for number in self._stands.keys() - {tp.partition for tp in positions}:
            del self._stands[number]
        return sorted(found)


class Watchdog:
    """Watches the hosts of a worker.

    Args:
        hosts: of its agents.
        outbox: to ask the broker.
        allowed_s: how long a worker may stand still.
    """

    def __init__(self, hosts: Sequence[Running], outbox: Outbox, allowed_s: float) -> None:
        self._hosts = hosts
        self._outbox = outbox
        self._allowed_s = allowed_s
        self._every_s = allowed_s / _LOOKS
        self._beat_s = time.monotonic()
        self._over = threading.Event()

    async def watch(self) -> None:
        """Watch until cancelled.

        Raises:
            ShellError: a partition stands still.
        """
        watches = [(host, StandingStill(self._allowed_s)) for host in self._hosts]
        threading.Thread(target=self._watch_loop, name="m1cep-watchdog", daemon=True).start()
        try:
            while True:
                await asyncio.sleep(self._every_s)
                self._beat_s = time.monotonic()
                for host, standing in watches:
                    await self._look(host, standing)
        finally:
            self._over.set()

    async def _look(self, host: Running, standing: StandingStill) -> None:
        positions = host.positions()
        try:
            ends = await asyncio.wait_for(self._outbox.ends(positions), self._allowed_s)
        except (KafkaError, TimeoutError) as error:  # a silent broker is watched for elsewhere
            _log.debug("watchdog.no_answer", error=repr(error))
            return
        if stuck := standing.look(positions, ends, time.monotonic()):
            raise ShellError(
                f"agent {host.name} has not moved for {self._allowed_s:.0f} s on partition "
                f"{', '.join(map(str, stuck))}, while more events came",
                "start the worker again: it goes on from its snapshots",
            )

    def _watch_loop(self) -> None:
        while not self._over.wait(self._every_s):
            if time.monotonic() - self._beat_s > self._allowed_s + self._every_s:
                sys.stderr.write(
                    f"m1cep: the worker has been busy with one step for {self._allowed_s:.0f} s and does not answer; "
                    "start the worker again: it goes on from its snapshots\n"
                )
                sys.stderr.flush()
                os._exit(ExitCode.FAILURE)
