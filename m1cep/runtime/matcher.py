"""Row patterns on a stream: the match that a backtracking matcher would prefer, found while the rows arrive.

Every row may begin an *attempt*. An attempt is a list of *threads* in order of preference; a thread is a state of the pattern
and the memory of the rows mapped so far. A row moves every thread of every attempt on, or ends it. A thread that completes the
pattern becomes the attempt's best match so far and ends the threads less preferred than itself; when no thread is left the
attempt is decided. Attempts are decided in the order in which they began: the oldest that is still open holds back those after
it, because SQL prefers the match that begins first.

    rows        r1   r2   r3   r4          PATTERN (A B+ C)
    attempt 1   A────B────B────C  match    AFTER MATCH SKIP PAST LAST ROW: attempts begun at r2..r4 are dropped
    attempt 2        A ✗
"""

from __future__ import annotations

from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from m1cep.plan.pattern import DONE
from m1cep.runtime.outcome import Hit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from m1cep.codegen.module import Module
    from m1cep.plan.pattern import Program
    from m1cep.runtime.suppress import Suppressor

    Memory = tuple[Any, ...]


class Attempt:
    """A match that may still come about: where it began, its threads, and the best that is complete."""

    __slots__ = ("best", "best_at", "start", "start_at", "threads")

    def __init__(self, start: int, start_at: int) -> None:
        self.start = start  # event time of the first row
        self.start_at = start_at  # its position
        self.threads: list[tuple[int, Memory]] = []
        self.best: Memory | None = None
        self.best_at = -1  # position of the best match's last row


class Partition:
    """One key's attempts, oldest first, and the rows that PREV may look at."""

    __slots__ = ("attempts", "history")

    def __init__(self, history: int) -> None:
        self.attempts: list[Attempt] = []
        self.history: deque[Any] = deque(maxlen=history)


class PatternMatcher:
    """Runs one row pattern (one rule) over all its keys.

    Args:
        module: the generated functions of the rule.
        program: the pattern.
        time_attr: attribute of event time on rows.
        within: bound on last - first, exclusive, in the stream's unit, or None.
        max_open: attempts kept per key where there is no bound in time; beyond it the oldest is dropped and counted.
        suppressor: decides which matches are reported.
    """

    def __init__(
        self,
        module: Module,
        program: Program,
        time_attr: str,
        within: int | None,
        max_open: int,
        suppressor: Suppressor,
    ) -> None:
        self._where: Callable[[Any], bool] = module["where"]
        self._key: Callable[[Any], Any] = module["key"]
        self._gate: Callable[[Any], bool] = module["gate"]
        self._having = module["having"]
        self._select = module["select"]
        self._tries = module["TRIES"]
        self._relevant: Callable[[Memory], Any] = module["relevant"]
        self._empty: Memory = module["EMPTY"]
        self._history: int = module["HISTORY"]
        self._start = program.start
        self._next = program.next
        self._time_of: Callable[[Any], int] = attrgetter(time_attr)
        self._within = within
        self._max_open = max_open
        self._partitions: dict[Any, Partition] = {}
        self._deadlines: deque[tuple[int, Any]] = deque()  # (start, key) of every attempt, in order of start
        self._dropped = 0
        self._suppressor = suppressor

    def feed(self, rows: Sequence[Any], base: int, out: list[Hit]) -> None:
        """Take rows in, in event-time order."""
        where, key_of, gate, partitions = self._where, self._key, self._gate, self._partitions
        for at, row in enumerate(rows, base):
            if not where(row):
                continue
            key = key_of(row)
            partition = partitions.get(key)
            if partition is None:
                if not self._history and not gate(row):
                    continue
                partition = partitions[key] = Partition(self._history)
            self._row(partition, key, row, at, out)

    def _row(self, partition: Partition, key: Any, row: Any, at: int, out: list[Hit]) -> None:
        time = self._time_of(row)
        attempts, history = partition.attempts, partition.history
        covered = False
        if attempts:
            if self._within is not None and time - attempts[0].start >= self._within:
                self._expire(partition, key, time, out)
            covered = self._move_all(attempts, row, at, history)
        if not covered and self._gate(row):
            self._begin(partition, key, row, time, at)
        if attempts and not attempts[0].threads:
            self._decide(partition, key, time, 1, at, out)
        if self._history:
            history.append(row)
        elif not attempts:
            del self._partitions[key]

    def _move_all(self, attempts: list[Attempt], row: Any, at: int, history: deque[Any]) -> bool:
        """Move every attempt on by one row. True when the row completes a match: no match may begin inside it."""
        dead = False
        for i, attempt in enumerate(attempts):
            if not attempt.threads:
                continue
            self._move(attempt, attempt.threads, row, at, history)
            if attempt.best_at == at:  # whatever it becomes, it reaches to here: those after it would be skipped
                del attempts[i + 1 :]
                return True
            dead = dead or not (attempt.threads or attempt.best)
        if dead:
            attempts[:] = [a for a in attempts if a.threads or a.best]
        return False

    def _begin(self, partition: Partition, key: Any, row: Any, time: int, at: int) -> None:
        attempt = Attempt(time, at)
        self._move(attempt, [(s, self._empty) for s in self._start], row, at, partition.history)
        if not attempt.threads and attempt.best is None:
            return
        partition.attempts.append(attempt)
        if self._within is not None:
            self._deadlines.append((time, key))
        elif len(partition.attempts) > self._max_open:
            partition.attempts[0].threads = []  # it is decided next: a match that is complete is still reported
            self._dropped += 1

    def _move(
        self, attempt: Attempt, threads: list[tuple[int, Memory]], row: Any, at: int, history: deque[Any]
    ) -> None:
        """Move every thread on by one row. A thread waits in front of its state; if the row fits, it goes on in front of
        every state that may follow, in order of preference.
        """
        tries, following = self._tries, self._next
        moved: list[tuple[int, Memory]] = []
        for state, memory in threads:
            after = tries[state](row, memory, history)
            if after is None:
                continue
            for nxt in following[state]:
                if nxt == DONE:
                    attempt.best, attempt.best_at = after, at
                    attempt.threads = self._distinct(moved)
                    return
                moved.append((nxt, after))
        attempt.threads = self._distinct(moved) if len(moved) > 1 else moved

    def _distinct(self, threads: list[tuple[int, Memory]]) -> list[tuple[int, Memory]]:
        """Without threads that can only do what a more preferred one does: same state, same memory as far as conditions see."""
        seen: dict[Any, tuple[int, Memory]] = {}
        for thread in threads:
            seen.setdefault((thread[0], self._relevant(thread[1])), thread)
        return list(seen.values()) if len(seen) < len(threads) else threads

    def _expire(self, partition: Partition, key: Any, time: int, out: list[Hit]) -> None:
        """Decide, one by one, the attempts whose time ran out at or before ``time``."""
        within = self._within
        assert within is not None
        attempts = partition.attempts
        while attempts and time - attempts[0].start >= within:
            attempts[0].threads = []
            deadline = attempts[0].start + within
            self._decide(partition, key, deadline, 0, attempts[0].start_at, out)

    def _decide(self, partition: Partition, key: Any, time: int, by_row: int, at: int, out: list[Hit]) -> None:
        """Report or drop the oldest attempts for as long as they are decided. Those after a match began after its last row
        (AFTER MATCH SKIP PAST LAST ROW): the others went when the row was taken that completed it.
        """
        attempts = partition.attempts
        while attempts and not attempts[0].threads:
            attempt = attempts.pop(0)
            if attempt.best is None:
                continue
            if self._having(attempt.best, key) and self._suppressor.allows(key, attempt.best[1]):
                out.append(self._hit(attempt.best, key, time, by_row, at))

    def _hit(self, memory: Memory, key: Any, time: int, by_row: int, at: int) -> Hit:
        events: list[str] = []
        chain = memory[0]
        while chain is not None:
            chain, event_id = chain
            events.append(event_id)
        events.reverse()
        return Hit(time, by_row, at, key, self._select(memory, key), memory[1], events)

    def advance(self, watermark: int, out: list[Hit]) -> None:
        """Attempts whose WITHIN ran out leave, also those of keys that are silent."""
        self._suppressor.forget(watermark)
        within, deadlines = self._within, self._deadlines
        if within is None:
            return
        while deadlines and watermark - deadlines[0][0] >= within:
            _, key = deadlines.popleft()
            partition = self._partitions.get(key)
            if partition is not None:
                self._expire(partition, key, watermark, out)
                if not partition.attempts and not self._history:
                    del self._partitions[key]

    def finish(self, out: list[Hit]) -> None:
        """End of every partition: what is complete is reported, the rest is dropped."""
        for key, partition in self._partitions.items():
            for attempt in partition.attempts:
                attempt.threads = []
            if partition.attempts:
                first = partition.attempts[0]
                self._decide(partition, key, first.start, 0, first.start_at, out)
        self._partitions.clear()
        self._deadlines.clear()

    def counters(self) -> dict[str, int]:
        """Open attempts, keys in memory, attempts dropped at max_open, matches suppressed."""
        return {
            "open": sum(len(p.attempts) for p in self._partitions.values()),
            "keys": len(self._partitions),
            "dropped": self._dropped,
            "suppressed": self._suppressor.suppressed,
        }
