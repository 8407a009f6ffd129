"""Faults by chance: which, when, to whom; and how long the group takes to be whole again."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streams.soak.options import TO_WORKERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streams.soak.crew import Crew, Worker
    from streams.soak.options import SoakOptions
    from streams.soak.watch import Offsets

SESSION_S = 6.0  # of the workers' consumer groups
BURST_FACTOR = 3.0
GIVE_UP_S = 90.0  # a fault that the group has not recovered from after so long is told as such, and the next comes


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault to come.

    Attributes:
        kind: of TO_WORKERS.
        after_s: from the recovery of the fault before.
        length_s: how long it lasts.
        whom: from 0 to 1: which of the workers that run then.
    """

    kind: str
    after_s: float
    length_s: float
    whom: float


@dataclass(slots=True)
class Fault:
    """A fault that was.

    Attributes:
        kind: of FAULTS.
        worker: whose; None for a burst.
        at_s: seconds from the start of the load.
        length_s: how long it lasted.
        recovered_s: from its beginning until everything that had been sent by then was processed and safe, its end had come
            and all workers were ready; None: not within GIVE_UP_S, or not before the end, or not looked at.
    """

    kind: str
    worker: int | None
    at_s: float
    length_s: float
    recovered_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        recovered_s = None if self.recovered_s is None else round(self.recovered_s, 1)
        numbers = {"at_s": round(self.at_s, 1), "length_s": round(self.length_s, 1), "recovered_s": recovered_s}
        return {"kind": self.kind, "worker": self.worker, **numbers}


def planned(options: SoakOptions) -> Iterator[Planned]:
    """The faults to the workers, without end; each kind once before one comes again."""
    chance = _chance(options, "faults")
    kinds = [kind for kind in TO_WORKERS if kind in options.faults]
    pause_s = min(15.0, max(1.0, options.seconds / 30))
    while kinds:
        for kind in chance.sample(kinds, len(kinds)):
            length_s = {
                "kill": chance.uniform(0, 3),
                "pause": SESSION_S + chance.uniform(1, 5),
                "join": chance.uniform(0.5, 1.0) * min(20.0, options.seconds / 4),
                "leave": chance.uniform(0.5, 1.0) * min(10.0, options.seconds / 6),
            }[kind]
            yield Planned(kind, chance.uniform(0.5, 1.5) * pause_s, length_s, chance.random())


def bursts(options: SoakOptions) -> tuple[tuple[float, float, float], ...]:
    """The bursts of the load: from, length in seconds, how many times the rate; about one a minute."""
    if "burst" not in options.faults:
        return ()
    chance = _chance(options, "bursts")
    count = max(1, round(options.seconds / 60))
    room_s = options.seconds / count
    starts = [n * room_s + chance.uniform(0.2, 0.7) * room_s for n in range(count)]
    return tuple((start, min(5.0, room_s / 5), BURST_FACTOR) for start in starts)


def _chance(options: SoakOptions, part: str) -> random.Random:
    return random.Random(f"m1cep soak {options.seed} {part}")  # noqa: S311 - repeatable on purpose


class Injector:
    """Does one planned fault after the other; the next comes when the group has recovered from the one before.

    In the second half of the load worker 1 is spared, so that one process lives long enough to show whether its memory grows.

    Args:
        options: what was asked for.
        crew: whom to hurt.
        offsets: how far the group is.
    """

    def __init__(self, options: SoakOptions, crew: Crew, offsets: Offsets) -> None:
        self._options = options
        self._crew = crew
        self._offsets = offsets
        self._planned = planned(options)
        self._started_s = time.monotonic()
        self._next: Planned | None = None
        self._next_at_s = 0.0
        self._current: Fault | None = None
        self._victim: Worker | None = None
        self._over = False
        self._target: Mapping[Any, int] | None = None
        self.done: list[Fault] = []
        self._plan_next()

    def tick(self) -> None:
        """Go on with what is due."""
        now_s = time.monotonic() - self._started_s
        if self._current is None:
            if self._next is not None and now_s >= self._next_at_s and self._crew.running():
                self._begin(self._next, now_s)
            return
        fault = self._current
        if not self._over and now_s >= fault.at_s + fault.length_s:
            self._end(fault)
        self._look(fault, now_s)

    def finish(self) -> None:
        """No more faults: what is under way ends now. Call ``tick`` until ``idle`` to see it recover."""
        self._next = None
        if self._current is not None and not self._over:
            self._current.length_s = time.monotonic() - self._started_s - self._current.at_s
            self._end(self._current)

    @property
    def idle(self) -> bool:
        """Whether no fault is under way or being recovered from."""
        return self._current is None

    def _plan_next(self) -> None:
        self._next = next(self._planned, None)
        if self._next is not None:
            self._next_at_s = time.monotonic() - self._started_s + self._next.after_s

    def _begin(self, plan: Planned, now_s: float) -> None:
        crew = self._crew
        if plan.kind == "join":
            self._victim = crew.add()
        else:
            running = crew.running()
            if now_s > self._options.seconds / 2 and len(running) > 1:
                running = [worker for worker in running if worker.number != 1]
            self._victim = running[int(plan.whom * len(running))]
            {"kill": crew.kill, "pause": crew.pause, "leave": crew.leave}[plan.kind](self._victim)
        self._current = Fault(plan.kind, self._victim.number, now_s, plan.length_s)
        self._over, self._target = False, None
        self.done.append(self._current)

    def _end(self, fault: Fault) -> None:
        assert self._victim is not None
        if fault.kind == "join":
            if self._victim.wanted:
                self._crew.leave(self._victim)
            if self._victim.alive:
                return
        elif fault.kind == "pause":
            self._crew.resume(self._victim)
        elif self._victim.alive:  # it takes its time to leave
            return
        else:
            self._victim.start()
        self._over = True

    def _look(self, fault: Fault, now_s: float) -> None:
        sample = self._offsets.latest
        if self._target is None:
            # Of the first answer to a question that was asked after the fault.
            if sample and sample.ends is not None and sample.asked_s - self._started_s > fault.at_s:
                self._target = sample.ends
            else:
                self._offsets.ask_for_ends()
        elif sample and self._over and self._crew.ready and reached(sample.committed, self._target):
            fault.recovered_s = now_s - fault.at_s
        if fault.recovered_s is not None or (self._over and now_s > fault.at_s + fault.length_s + GIVE_UP_S):
            self._current = None
            if self._next is not None:
                self._plan_next()


def reached(committed: Mapping[Any, int], ends: Mapping[Any, int]) -> bool:
    """Whether everything before the ends is processed and safe."""
    return all(committed.get(tp, 0) >= end for tp, end in ends.items())
