"""Row patterns, many attempts at a time: attempts in the same states of the pattern react alike to every row to come.

Where conditions look at the row alone, what an attempt can still do depends on its list of states only, not on the row at
which it began. So a key has *groups*: a list of states and the starts of all attempts that stand there, oldest first. A row
moves a group, not its attempts, and attempts that meet in one list become one group. What a row does to a list is worked out
once and then looked up.

    rows       A A A A W          PATTERN (A{3,} W)
    group A3W        1 1,2        the start of each attempt; W completes all, and the oldest that is in time is SQL's match
    group A3       1 2 3
    group A2     1 2 3 4

Without WITHIN the oldest start of a group is all there is to remember: the others could only find what it finds.
The states in which a match's rows were taken are found again from the variables that each row fitted, when it is reported.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from typing import TYPE_CHECKING, Any

from m1cep.plan.program import DONE
from m1cep.runtime.matcher import PatternMatcher
from m1cep.runtime.partition import NEVER, Partition

if TYPE_CHECKING:
    from m1cep.runtime.outcome import Hit
    from m1cep.runtime.report import When

    States = tuple[int, ...]

START: tuple[int, ...] = ()


class Move:
    """What rows with certain bits do to a list of states.

    Attributes:
        to: the list after the row, or None when nothing is left.
        parents: for each state of ``to``, the place in the list before of the state that took the row.
        done: the place of the state that completes the pattern, or -1.
    """

    __slots__ = ("done", "parents", "to")

    def __init__(self, to: States | None, parents: tuple[int, ...], done: int) -> None:
        self.to = to
        self.parents = parents
        self.done = done


class GroupPartition(Partition):
    """A key's groups.

    Attributes:
        fits: the bits of each row of the log.
        groups: by list of states, the starts (row numbers) of the attempts there, ascending.
        best: of attempts that have a complete match and may find a longer one, where it ends.
        ready: starts of attempts that are over and have a match; an older attempt may hold them back. Ascending.
        ends: where the matches of ``ready`` end.
        expires: event time before which no attempt runs out of time.
    """

    __slots__ = ("best", "ends", "expires", "fits", "groups", "ready")

    def __init__(self) -> None:
        super().__init__()
        self.fits: list[int] = []
        self.groups: dict[States, deque[int]] = {}
        self.best: dict[int, Any] = {}
        self.ready: list[int] = []
        self.ends: dict[int, Any] = {}
        self.expires = NEVER

    def cut(self, count: int) -> None:
        """Drop the ``count`` oldest rows."""
        super().cut(count)
        del self.fits[:count]


class GroupMatcher(PatternMatcher[GroupPartition]):
    """Follows attempts in groups. For patterns without look at the past, look-ahead, anchors, absence and empty matches."""

    new_partition = GroupPartition

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        module = args[2]
        self._bits = module["bits"]
        self._bit_of = tuple(module["BITS"][label] for label in self._program.labels)
        self._moves: dict[tuple[States, int], Move] = {}
        self._only_oldest = self._within is None and self._past_last

    def _step(self, p: GroupPartition, key: Any, row: Any, at: int, out: list[Hit]) -> None:
        time = self._time_of(row)
        if time >= p.expires:
            self._expire(p, key, time, out)
        p.touched = self._round
        number = p.taken
        p.taken = number + 1
        log = p.log
        log.append(self._keep(row))
        p.ats.append(at)
        fits = self._bits(row, log, len(log) - 1)
        p.fits.append(fits)
        if not (p.groups and self._move_all(p, row, number, fits)):
            self._begin(p, row, time, number, fits)
        if p.ready:
            self._decide(p, key, (time, 1, at), out)
        if not p.groups and not p.ready:
            p.expires = NEVER
            self._leave(p, key)
            return
        if p.best or p.ready:
            self._arm(p, key)
        if len(log) > 64 and not number % 32:
            self._shorten(p)

    def _shorten(self, p: GroupPartition) -> None:
        oldest = self._oldest(p)
        if oldest is not None:
            p.forget_before(oldest - self._behind)
        if self._within is None and len(p.log) > self._max_rows:
            self._drop_oldest(p)

    def _drop_oldest(self, p: GroupPartition) -> None:
        oldest = self._oldest(p)
        for states, starts in list(p.groups.items()):
            if starts[0] == oldest:
                starts.popleft()
                self._dropped += 1
                if oldest in p.best:
                    self._over(p, oldest)
                if not starts:
                    del p.groups[states]
                return

    # moving

    def _move_all(self, p: GroupPartition, row: Any, number: int, fits: int) -> bool:
        """Move every group on by one row. True when the row completes a match inside which no other may begin."""
        moves = self._moves
        after: dict[States, deque[int]] = {}
        completed: int | None = None
        lost: list[deque[int]] = []
        for states, starts in p.groups.items():
            move = moves.get((states, fits)) or self._work_out(states, fits)
            if move.done >= 0:
                if self._past_last:
                    if completed is None or starts[0] < completed:
                        completed = starts[0]
                else:
                    for start in starts:
                        p.best[start] = number
            if move.to is None:
                lost.append(starts)
            elif move.to in after:
                after[move.to] = _merged(after[move.to], starts)
            else:
                after[move.to] = starts
        p.groups = after
        if completed is not None:
            p.best[completed] = number
            self._cover(p, completed)
        if p.best:
            for starts in lost:
                for start in starts:
                    if start in p.best:
                        self._over(p, start)
        if self._only_oldest:
            for starts in after.values():
                if len(starts) > 1:
                    self._prune(p, starts)
        return completed is not None

    def _work_out(self, states: States, fits: int) -> Move:
        """The move of a list, or from before a match's first row."""
        to: list[int] = []
        parents: list[int] = []
        done = -1
        for place, state in enumerate(states):
            if not fits & self._bit_of[state]:
                continue
            for nxt in self._program.next[state]:
                if nxt == DONE:
                    done = place
                    break
                if nxt not in to:
                    to.append(nxt)
                    parents.append(place)
            if done >= 0:
                break
        move = self._moves[states, fits] = Move(tuple(to) or None, tuple(parents), done)
        return move

    def _begin(self, p: GroupPartition, row: Any, time: int, number: int, fits: int) -> None:
        states = self._program.start
        move = self._moves.get((states, fits)) or self._work_out(states, fits)
        if move.to is not None:
            starts = p.groups.get(move.to)
            if starts is None:
                p.groups[move.to] = deque((number,))
            else:
                starts.append(number)
                if self._only_oldest:
                    self._prune(p, starts)
            if self._within is not None and p.expires == NEVER:
                p.expires = time + self._within
        if move.done >= 0:
            p.best[number] = number
            if move.to is None:
                self._over(p, number)

    def _over(self, p: GroupPartition, start: int) -> None:
        """An attempt that has a match takes no more rows."""
        insort(p.ready, start)
        p.ends[start] = p.best.pop(start)

    def _cover(self, p: GroupPartition, completed: int) -> None:
        """A match that begins at ``completed`` reaches to the present row: attempts that began after it would be skipped."""
        for states, starts in list(p.groups.items()):
            while starts and starts[-1] > completed:
                starts.pop()
            if not starts:
                del p.groups[states]
        if len(p.best) > 1:
            p.best = {s: e for s, e in p.best.items() if s <= completed}
        while p.ready and p.ready[-1] > completed:
            del p.ends[p.ready.pop()]

    def _prune(self, p: GroupPartition, starts: deque[int]) -> None:
        """Of attempts in one list without bound in time, those after the first that has no match find what it finds."""
        kept: list[int] = []
        found = False
        for start in starts:
            if start in p.best:
                kept.append(start)
            elif not found:
                kept.append(start)
                found = True
        if len(kept) < len(starts):
            starts.clear()
            starts.extend(kept)

    # deciding

    def _decide(self, p: GroupPartition, key: Any, when: When, out: list[Hit]) -> None:
        """Report matches that no older attempt holds back."""
        while p.ready:
            start = p.ready[0]
            if p.groups and min(starts[0] for starts in p.groups.values()) < start:
                return
            del p.ready[0]
            path = self._path(p, start, p.ends.pop(start))
            self._reporter.report(p, key, start, path, when, out)
            self._skip(p, self._reporter.next_start(start, path))

    def _skip(self, p: GroupPartition, following: int) -> None:
        """Drop attempts that began before row number ``following``."""
        for states, starts in list(p.groups.items()):
            while starts and starts[0] < following:
                p.best.pop(starts.popleft(), None)
            if not starts:
                del p.groups[states]
        while p.ready and p.ready[0] < following:
            del p.ends[p.ready.pop(0)]

    def _path(self, p: GroupPartition, start: int, end: Any) -> list[int]:
        """The states in which the rows of a match were taken."""
        fits = p.fits[start - p.base : end - p.base + 1]
        states, moves = self._program.start, self._moves
        lists: list[States] = []
        made: list[Move] = []
        for bits in fits:
            move = moves.get((states, bits)) or self._work_out(states, bits)
            lists.append(states)
            made.append(move)
            states = move.to or START
        place = made[-1].done
        path = [lists[-1][place]]
        for n in range(len(made) - 2, -1, -1):
            place = made[n].parents[place]
            path.append(lists[n][place])
        path.reverse()
        return path

    def _expire(self, p: GroupPartition, key: Any, time: int, out: list[Hit]) -> None:
        within, log, base = self._within, p.log, p.base
        if within is None:
            return
        last = time - within  # attempts that began at or before it are over
        time_of = self._time_of
        while p.groups:
            expired = None  # the oldest first: each may let go what it held back
            for states, starts in p.groups.items():
                start = starts[0]
                if time_of(log[start - base]) <= last and (expired is None or start < expired[0]):
                    expired = (start, states)
            if expired is None:
                break
            start, states = expired
            starts = p.groups[states]
            if p.best or p.ready:
                starts.popleft()
                if start in p.best:
                    self._over(p, start)
                if not starts:
                    del p.groups[states]
                self._decide(p, key, (time_of(log[start - base]) + within, 0, p.ats[start - base]), out)
                continue
            while starts and time_of(log[starts[0] - base]) <= last:
                starts.popleft()
            if not starts:
                del p.groups[states]
        oldest = self._oldest(p)
        p.expires = NEVER if oldest is None or not p.groups else time_of(log[oldest - base]) + within

    def _close(self, p: GroupPartition, key: Any, out: list[Hit]) -> None:
        starts = sorted([s for starts in p.groups.values() for s in starts if s in p.best])
        p.groups = {}
        for start in starts:
            self._over(p, start)
        if p.ready:
            first = p.ready[0] - p.base
            self._decide(p, key, (self._time_of(p.log[first]), 0, p.ats[first]), out)

    def _oldest(self, p: GroupPartition) -> int | None:
        starts = [starts[0] for starts in p.groups.values()]
        if p.ready:
            starts.append(p.ready[0])
        return min(starts, default=None)

    def _waits(self, p: GroupPartition) -> bool:
        return bool(p.best or p.ready)

    def _open(self, p: GroupPartition) -> int:
        return sum(map(len, p.groups.values())) + len(p.ready)

    def _save(self, p: GroupPartition) -> Any:
        groups = [[list(states), list(starts)] for states, starts in p.groups.items()]
        return [p.fits, groups, *([list(p.best.items()), list(p.ends.items())] if p.best or p.ready else [])]

    def _restore(self, p: GroupPartition, saved: Any) -> None:
        p.fits, groups, *ends = saved
        p.groups = {tuple(states): deque(starts) for states, starts in groups}
        if ends:
            p.best, p.ends = (dict(map(tuple, found)) for found in ends)
            p.ready = sorted(p.ends)
        self._expect(p)

    def _expect(self, p: GroupPartition) -> None:
        """Note when the oldest open attempt runs out of time."""
        if self._within is not None and p.groups:
            p.expires = min(self._time_of(p.log[s[0] - p.base]) for s in p.groups.values()) + self._within


def _merged(a: deque[int], b: deque[int]) -> deque[int]:
    """Starts of both, ascending."""
    if a[-1] < b[0]:
        a.extend(b)
        return a
    if b[-1] < a[0]:
        b.extend(a)
        return b
    return deque(sorted([*a, *b]))
