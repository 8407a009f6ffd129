"""Row patterns, attempt by attempt: for patterns whose conditions depend on what a match has taken, and for what is rare.

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

from typing import TYPE_CHECKING, Any

from m1cep.model.pack import tuples
from m1cep.plan.program import AT_END, DONE
from m1cep.runtime.matcher import PatternMatcher
from m1cep.runtime.partition import NEVER, Partition

if TYPE_CHECKING:
    from collections.abc import Iterable, KeysView

    from m1cep.runtime.matcher import Setup
    from m1cep.runtime.outcome import Hit
    from m1cep.runtime.report import When

    Memory = tuple[Any, ...]
    First = tuple[int, Any, Memory]  # an attempt's first row: its position, itself, and the memory after it

MAX_THREADS = 2_000  # ways to match that one attempt follows; the least preferred beyond it are dropped and counted


class Attempt:
    """A match that may still come about.

    Attributes:
        start: number of its first row.
        time: event time of that row.
        threads: (state, memory), most preferred first.
        best: chain of states of the best complete match; () for the empty match; None.
        end: number of the best match's last row.
    """

    __slots__ = ("best", "end", "start", "threads", "time")

    def __init__(self, start: int, time: int) -> None:
        self.start = start
        self.time = time
        self.threads: list[tuple[int, Memory]] = []
        self.best: Any = None
        self.end = -1


class ThreadPartition(Partition):
    """A key's attempts, oldest first. ``waits``: one of them has a match, or an absence, that time alone may decide."""

    __slots__ = ("attempts", "waits")

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[Attempt] = []
        self.waits = False


class ThreadMatcher(PatternMatcher[ThreadPartition]):
    """Follows each attempt by itself."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        module = setup.module
        self._tries = module["TRIES"]
        self._empty: Memory = module["EMPTY"]
        self._plain = (
            len(self._empty) == 1
        )  # conditions see nothing of the past: a state alone tells what a thread can do
        self._absent = self._program.waits
        self._unmatched = self._plan.rows == "ALL ROWS WITH UNMATCHED"
        self._first_waits: bool = module["FIRST_WAITS"]
        self._begun: dict[Any, First] = {}  # keys whose one attempt has its first row only
        self._turned = -NEVER

    def new_partition(self) -> ThreadPartition:
        """A key without attempts."""
        return ThreadPartition()

    def _run(self, rows: Iterable[tuple[int, Any]], out: list[Hit]) -> None:
        if len(self._begun) > self._many:
            self._cold |= {key: self._freeze(self._alone(first)) for key, first in self._begun.items()}
            self._begun = {}
        self._scan(self, self._live, self._cold, self._begun, rows, out)

    def second_row(self, key: Any, first: First, row: Any, time: int) -> ThreadPartition | None:
        """The partition of a key whose one attempt has only its first row, now that ``row`` has come at ``time``; None where that
        attempt has run out of time, or ends with this row.
        """
        _, begun, memory = first
        assert self._within is not None
        if time - self._time_of(begun) >= self._within:
            return None
        for state in self._program.next[self._program.start[0]]:
            if self._tries[state](row, memory, (begun, row), 1, state) is not None:
                return self._with_first(key, first)
        return None

    def _with_first(self, key: Any, first: First) -> ThreadPartition:
        """A partition with an attempt that has only its first row."""
        at, row, memory = first
        p = self.enter(key)
        p.log.append(row)
        p.ats.append(at)
        p.taken = 1
        attempt = Attempt(0, self._time_of(row))
        attempt.threads = [(state, memory) for state in self._program.next[self._program.start[0]]]
        p.attempts.append(attempt)
        return p

    def _alone(self, first: First) -> ThreadPartition:
        """A partition for one row, as long as it is looked at."""
        key = object()
        self._with_first(key, first)
        return self._live.pop(key)

    def advance(self, watermark: int, out: list[Hit]) -> None:
        """Decide what can only be decided by time, and drop what ran out of it."""
        super().advance(watermark, out)
        if self._begun and self._within is not None and watermark - self._turned >= self._within:
            self._turned = watermark
            since, time_of = watermark - self._within, self._time_of
            self._begun = {key: first for key, first in self._begun.items() if time_of(first[1]) > since}

    def finish(self, out: list[Hit]) -> None:
        """End of every partition: what is complete is reported, the rest is dropped."""
        self._begun.clear()
        super().finish(out)

    def counters(self) -> dict[str, int]:
        """Open attempts, keys in memory, attempts dropped at max_open or max_rows, matches suppressed."""
        begun, found = len(self._begun), super().counters()
        return found | {"open": found["open"] + begun, "keys": found["keys"] + begun}

    def _open_keys(self) -> list[KeysView[Any]]:
        return [*super()._open_keys(), self._begun.keys()]

    def state(self) -> Any:
        """Every key as bytes, and the suppressor."""
        found = super().state()
        found["keys"] += [[key, self._freeze(self._alone(first))] for key, first in self._begun.items()]
        return found

    def step(self, p: ThreadPartition, key: Any, row: Any, time: int, at: int, out: list[Hit], may_begin: bool) -> None:
        """Take a row in that was put into the partition's log; ``may_begin``: whether a match may begin with it."""
        p.ats.append(at)
        if self._ahead:
            self._step_behind(p, key, time, at, out)
            return
        attempts = p.attempts
        if attempts and self._within is not None and time - attempts[0].time >= self._within:
            self._expire_before(p, key, time, out, None, row_follows=True)
        self._take(p, key, row, time, (time, 1, at), out, may_begin=may_begin)
        self._settle(p, key)

    def _step_behind(self, p: ThreadPartition, key: Any, time: int, at: int, out: list[Hit]) -> None:
        """With NEXT the pattern takes a row in when those after it have come that NEXT may look at."""
        self._expire(p, key, time, out, row_follows=True)
        when = (time, 1, at)
        while len(p.log) + p.base - p.taken > self._ahead:
            row = p.log[p.taken - p.base]
            taken_at = self._time_of(row)
            if self._within is not None:
                self._expire_before(p, key, taken_at, out, when, row_follows=True)
            self._take(p, key, row, taken_at, when, out)
            self._expire(p, key, time, out, when, row_follows=True)
        self._settle(p, key)

    def _settle(self, p: ThreadPartition, key: Any) -> None:
        if not p.attempts:
            p.waits = False
            if p.taken == p.base + len(p.log) or self._lasting:
                self._leave(p, key)
            return
        newest = p.attempts[0]
        if newest.start == p.taken - 1 and self._first_waits:  # the only one, and this row its first
            self._begun[key] = (p.ats[-1], p.log[-1], newest.threads[0][1])
            p.attempts.clear()
            self._leave(p, key)
            return
        if not p.taken & 31 and len(p.log) > 64:
            p.forget_before(p.attempts[0].start - self._behind)
            self._slim(p)
            if self._within is None and p.taken - p.attempts[0].start > self._max_rows:
                p.attempts[0].threads = []  # it is decided with the next row, and those like it one after the other
                self._dropped += 1
        if p.waits and p.armed == NEVER:  # later attempts run out of time later
            self._arm(p, key)

    def _take(
        self, p: ThreadPartition, key: Any, row: Any, time: int, when: When, out: list[Hit], *, may_begin: bool = True
    ) -> None:
        """The pattern takes a row in."""
        number = p.taken
        p.taken = number + 1
        attempts = p.attempts
        if not (attempts and self._move_all(p, row, number)) and may_begin:
            self._begin(p, row, time, number)
        if attempts and not attempts[0].threads:
            self._decide(p, key, when, out)

    def _move_all(self, p: ThreadPartition, row: Any, number: int) -> bool:
        """Move every attempt on by one row. True when the row completes a match inside which no other may begin."""
        attempts, dead = p.attempts, False
        for i, attempt in enumerate(attempts):
            if not attempt.threads:
                continue
            self._move(p, attempt, attempt.threads, row, number)
            if attempt.end == number and self._past_last:
                # Whatever it becomes, it reaches to here: those after it would be skipped.
                del attempts[i + 1 :]
                return True
            dead = dead or not (attempt.threads or attempt.best is not None)
        if dead and not self._unmatched:
            attempts[:] = [a for a in attempts if a.threads or a.best is not None]
        return False

    def _begin(self, p: ThreadPartition, row: Any, time: int, number: int) -> None:
        attempt = Attempt(number, time)
        if self._first_waits:  # one state, which neither completes the pattern nor waits
            (state,) = self._program.start
            after = self._tries[state](row, self._empty, p.log, number - p.base, state)
            if after is not None:
                attempt.threads = [(following, after) for following in self._program.next[state]]
                p.attempts.append(attempt)
            return
        threads = []
        for state in self._program.first if number == 0 else self._program.start:
            if state == DONE:
                attempt.best, attempt.end = (), number - 1
                break
            if state != AT_END:  # a row follows: this one
                threads.append((state, self._empty))
        self._move(p, attempt, threads, row, number)
        if not attempt.threads and attempt.best is None and not self._unmatched:
            return
        p.attempts.append(attempt)
        p.waits = p.waits or attempt.best is not None or self._unmatched
        if self._within is None and len(p.attempts) > self._max_open:
            p.attempts[0].threads = []  # it is decided next: a match that is complete is still reported
            self._dropped += 1

    def _move(
        self, p: ThreadPartition, attempt: Attempt, threads: list[tuple[int, Memory]], row: Any, number: int
    ) -> None:
        """Move every thread on by one row. A thread waits in front of its state; if the row fits, it goes on in front of
        every state that may follow, in order of preference.
        """
        tries, following, log, j = self._tries, self._program.next, p.log, number - p.base
        moved: list[tuple[int, Memory]] = []
        for state, memory in threads:
            if state < 0:  # AT_END, and here is a row
                continue
            after = tries[state](row, memory, log, j, state)
            if state in self._absent:
                if after is None:
                    moved.append((state, memory))
                continue
            if after is None:
                continue
            for nxt in following[state]:
                if nxt == DONE:
                    attempt.best, attempt.end = after[0], number
                    attempt.threads = self._distinct(moved)
                    p.waits = True
                    return
                moved.append((nxt, after))
                if nxt in self._absent:
                    p.waits = True
        attempt.threads = self._distinct(moved) if len(moved) > 1 else moved

    def _distinct(self, threads: list[tuple[int, Memory]]) -> list[tuple[int, Memory]]:
        """Without threads that can only do what a more preferred one does: same state, same memory as far as conditions see."""
        seen: dict[Any, tuple[int, Memory]] = {}
        if self._plain:
            for thread in threads:
                seen.setdefault(thread[0], thread)
        else:
            try:
                for thread in threads:
                    seen.setdefault((thread[0], thread[1][1:]), thread)
            except TypeError:  # an ARRAY, MAP or ROW is remembered
                seen = {(state, repr(memory[1:])): (state, memory) for state, memory in reversed(threads)}
                seen = dict(reversed(seen.items()))
        if len(seen) < len(threads):
            threads = list(seen.values())
        if len(threads) > MAX_THREADS:
            self._dropped += 1
            del threads[MAX_THREADS:]
        return threads

    def _decide(self, p: ThreadPartition, key: Any, when: When, out: list[Hit]) -> None:
        """Report or drop the oldest attempts for as long as they are decided."""
        attempts = p.attempts
        while attempts and not attempts[0].threads:
            attempt = attempts.pop(0)
            if attempt.best is None:
                if self._unmatched and attempt.start >= p.covered:
                    self._reporter.unmatched(p, key, attempt.start, when, out)
                continue
            path = _path(attempt.best)
            self._reporter.report(p, key, attempt.start, path, when, out)
            following = self._reporter.next_start(attempt.start, path)
            while attempts and attempts[0].start < following:
                attempts.pop(0)

    def _expire(
        self,
        p: ThreadPartition,
        key: Any,
        time: int,
        out: list[Hit],
        now: When | None = None,
        *,
        row_follows: bool = False,
    ) -> None:
        """Decide, one by one, the attempts whose time ran out at or before ``time``, unless a row that waits for those that
        NEXT looks at may still belong to them.
        """
        if self._within is None or not p.attempts:
            return
        waiting = p.taken - p.base
        if waiting < len(p.log):
            time = min(time, self._time_of(p.log[waiting]))
        self._expire_before(p, key, time, out, now, row_follows=row_follows)

    def _expire_before(
        self, p: ThreadPartition, key: Any, time: int, out: list[Hit], now: When | None, *, row_follows: bool
    ) -> None:
        within, attempts = self._within, p.attempts
        assert within is not None
        while attempts and time - attempts[0].time >= within:
            attempt = attempts[0]
            if not row_follows:
                at_end = [thread for thread in attempt.threads if thread[0] == AT_END]
                if at_end:  # the partition may have ended: a row that follows, or finish(), will tell
                    attempt.threads = at_end
                    return
            deadline = attempt.time + within
            when = now or (deadline, 0, p.ats[attempt.start - p.base])
            self._run_out(p, key, attempt, when, deadline, out)

    def _run_out(
        self, p: ThreadPartition, key: Any, attempt: Attempt, when: When, deadline: int, out: list[Hit]
    ) -> None:
        """The oldest attempt's time is up: an absence that held is a match, preferred as its thread is."""
        for state, memory in attempt.threads:
            if state in self._absent:
                p.attempts.pop(0)
                path = _path(memory[0])
                self._reporter.report(p, key, attempt.start, path, when, out, event_time=deadline)
                following = self._reporter.next_start(attempt.start, path)
                p.attempts[:] = [a for a in p.attempts if a.start >= following]
                break
        else:
            attempt.threads = []
        self._decide(p, key, when, out)

    def _close(self, p: ThreadPartition, key: Any, out: list[Hit]) -> None:
        when = (self._time_of(p.log[-1]), 1, p.ats[-1]) if p.log else (0, 0, 0)
        while p.taken < p.base + len(p.log):  # rows for which NEXT has nothing more to see
            row = p.log[p.taken - p.base]
            time = self._time_of(row)
            if self._within is not None:
                self._expire_before(p, key, time, out, when, row_follows=True)
            self._take(p, key, row, time, when, out)
        while p.attempts:
            attempt = p.attempts[0]
            if not self._ahead:  # else matches of this key may have been decided above, and these come after them
                when = (attempt.time, 0, p.ats[attempt.start - p.base])
            for state, memory in attempt.threads:
                if state == AT_END:
                    attempt.best = memory[0]
                    break
                if state in self._absent:
                    break
            else:
                attempt.threads = []
            if attempt.threads and state in self._absent:
                self._run_out(p, key, attempt, when, attempt.time + (self._within or 0), out)
            else:
                attempt.threads = []
                self._decide(p, key, when, out)

    def _oldest(self, p: ThreadPartition) -> int | None:
        return p.attempts[0].start if p.attempts else None

    def _idle(self, p: ThreadPartition) -> bool:
        return not p.attempts and p.taken == p.base + len(p.log)

    def _waits(self, p: ThreadPartition) -> bool:
        p.waits = self._unmatched or any(
            a.best is not None or any(s in self._absent for s, _ in a.threads) for a in p.attempts
        )
        return bool(p.attempts) and p.waits

    def _open(self, p: ThreadPartition) -> int:
        return len(p.attempts)

    def _save(self, p: ThreadPartition) -> Any:
        return [
            [
                a.start,
                a.time,
                [[state, _path(memory[0]), *memory[1:]] for state, memory in a.threads],
                None if a.best is None else _path(a.best),
                a.end,
            ]
            for a in p.attempts
        ]

    def _restore(self, p: ThreadPartition, saved: Any) -> None:
        for start, time, threads, best, end in saved:
            attempt = Attempt(start, time)
            attempt.threads = [(state, (_chain(path), *map(tuples, slots))) for state, path, *slots in threads]
            attempt.best = None if best is None else _chain(best) or ()
            attempt.end = end
            p.attempts.append(attempt)
        self._waits(p)


def _path(chain: Any) -> list[int]:
    """The states of a chain, oldest first."""
    path: list[int] = []
    while chain:
        chain, state = chain
        path.append(state)
    path.reverse()
    return path


def _chain(path: list[int]) -> Any:
    chain: Any = None
    for state in path:
        chain = (chain, state)
    return chain
