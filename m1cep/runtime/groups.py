"""Row patterns, many attempts at a time: attempts in the same states of the pattern react alike to every row to come.

Where conditions look at the row alone, what an attempt can still do depends on its list of states only, not on the row at
which it began. So a key has *groups*: a list of states and the starts of all attempts that stand there, oldest first. A row
moves a group, not its attempts, and attempts that meet in one list become one group. What a row does to a list is worked out
once and then looked up.

    rows       A A A A W          PATTERN (A{3,} W)
    group A3W        1 1,2        the start of each attempt; W completes all, and the oldest that is in time is SQL's match
    group A3       1 2 3
    group A2     1 2 3 4

Most rows move no group but the key's standing alone (see ``standing``): the groups catch up when a row may decide something.
Without WITHIN the oldest start of a group is all there is to remember: the others could only find what it finds.
The states in which a match's rows were taken are found again from the variables that each row fitted, when it is reported.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from typing import TYPE_CHECKING, Any

from m1cep.runtime.matcher import SPARE, PatternMatcher
from m1cep.runtime.nodes import Move, Node, following, merged
from m1cep.runtime.partition import NEVER, Partition
from m1cep.runtime.standing import Standings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from m1cep.runtime.matcher import Setup
    from m1cep.runtime.nodes import States
    from m1cep.runtime.outcome import Hit
    from m1cep.runtime.standing import Standing


class GroupPartition(Partition):
    """A key's groups.

    Attributes:
        fits: the bits of each row of the log.
        groups: by node, the starts (row numbers) of the attempts there, ascending.
        best: of attempts that have a complete match and may find a longer one, (number of its last row, Move.end); of an
            absence that held, (number of the newest row, the event time at which it was over).
        ready: starts of attempts that are over and have a match; an older attempt may hold them back. Ascending.
        ends: of the attempts in ``ready``, what ``best`` was.
        expires: event time before which no attempt runs out of time.
        standing: where the attempts stand. Rows from number ``taken`` on have changed it, and not yet the groups.
    """

    __slots__ = ("best", "ends", "expires", "fits", "groups", "ready", "standing")

    def __init__(self, standing: Standing) -> None:
        super().__init__()
        self.fits: list[int] = []
        self.groups: dict[Node, deque[int]] = {}
        self.best: dict[int, Any] = {}
        self.ready: list[int] = []
        self.ends: dict[int, Any] = {}
        self.expires = NEVER
        self.standing = standing

    def cut(self, count: int) -> None:
        """Drop the ``count`` oldest rows."""
        super().cut(count)
        del self.fits[:count]


MAX_NODES = 10_000  # lists of states remembered, with what rows do to them


class GroupMatcher(PatternMatcher[GroupPartition]):
    """Follows attempts in groups. For patterns without look at the past, look-ahead, anchors and empty matches."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        module = setup.module
        self._bit_of = tuple(module["BITS"][label] for label in self._program.labels)
        self._absent = self._program.waits
        self._nodes: dict[Any, Node] = {}
        self._start = self._node(self._program.start)
        self._only_oldest = self._within is None and self._past_last
        self._standings = Standings(self._program, self._bit_of, module["DYNAMIC"])

    def new_partition(self) -> GroupPartition:
        """A key without attempts."""
        return GroupPartition(self._standings.none)

    def _run(self, rows: Iterable[tuple[int, Any]], out: list[Hit]) -> None:
        standings = self._standings
        self._scan(self, self._live, self._cold, self._spare, standings.none, standings.gone, rows, out)
        del self._spare[SPARE:]

    def _node(self, states: States) -> Node:
        node = self._nodes.get(states)
        if node is None:
            waits = next((place for place, state in enumerate(states) if state in self._absent), -1)
            node = self._remember(states, Node(states, waits=waits))
        return node

    def _remember(self, name: Any, node: Node) -> Node:
        """Keep a node for the next time, unless a pattern has so many that nobody comes back to most of them."""
        if len(self._nodes) >= MAX_NODES:
            self._nodes.clear()
            self._start.moves.clear()
        self._nodes[name] = node
        return node

    def step(self, p: GroupPartition, key: Any, row: Any, time: int, at: int, fits: int, out: list[Hit]) -> None:
        """Take in a row, the newest of the log, that may decide something; ``fits``: bits of the variables that it fits."""
        if time >= p.expires:
            self._expire(p, key, time, out)
            if p.expires == NEVER and self._within is not None:
                p.expires = time + self._within
        self._standings.learn(p.standing, fits)
        after = p.standing.get(fits)
        if after is None:
            self._decide_with(p, key, row, time, at, fits, out)
            return
        p.ats.append(at)
        p.fits.append(fits)
        p.standing = after
        if after is self._standings.gone:
            self._leave(p, key)

    def _decide_with(
        self, p: GroupPartition, key: Any, row: Any, time: int, at: int, fits: int, out: list[Hit]
    ) -> None:
        """A row for which it matters which attempt stands where."""
        self._settle(p)
        number = p.taken
        p.taken = number + 1
        p.ats.append(at)
        p.fits.append(fits)
        covered = bool(p.groups) and self._move_all(p, row, number, fits)
        if not covered:
            move = self._begin_with(p, row, number, fits)
            if move.to is not None or move.done >= 0:
                self._begin(p, time, number, move)
        if p.ready:
            self._decide(p, key, (time, 1, at), out)
        if not p.groups and not p.ready:
            self._leave(p, key)
            return
        self._stand(p, leading=False)
        if p.armed == NEVER and (self._absent or p.best or p.ready):  # later starts run out of time later
            self._arm(p, key)
        if not number & 31 and len(p.log) > 64:
            self.tidy(p)

    def after_first(self, bits: int) -> Standing:
        """Where the only attempt of a key stands after a first row of these bits, that decides nothing."""
        none = self._standings.none
        self._standings.learn(none, bits)
        standing = none[bits]
        assert standing is not None
        return standing

    @staticmethod
    def keep_one(p: GroupPartition) -> None:
        """Forget every attempt, and every row but one, whose place the only row to keep takes next."""
        for rows in (p.log, p.ats, p.fits):
            del rows[1:]
        p.groups = {}
        p.base = p.taken = 0

    def _settle(self, p: GroupPartition) -> None:
        """Move the groups by the rows that only moved the standing: these complete nothing and ask nothing."""
        fits, base, groups = p.fits, p.base, p.groups
        start, begins = self._start, self._start.moves
        steady: tuple[int, deque[int]] | None = (
            None  # bits of rows that leave a group as it is and begin one more attempt there
        )
        for number in range(p.taken, base + len(fits)):
            bits = fits[number - base]
            if steady is not None and bits == steady[0]:
                steady[1].append(number)
                continue
            after: dict[Node, deque[int]] = {}
            for node, starts in groups.items():
                to = (node.moves.get(bits) or self._work_out(node, bits, number, after)).to
                if to is not None:
                    after[to] = merged(after[to], starts) if to in after else starts
            to = (begins.get(bits) or self._work_out(start, bits, number, after)).to
            if to is not None:
                if to in after:
                    after[to].append(number)
                else:
                    after[to] = deque((number,))
            if self._only_oldest:
                self._prune_all(p, after)
            elif len(after) == 1 and to is not None and after.get(to) is groups.get(to):
                steady = bits, after[to]
            else:
                steady = None
            p.groups = groups = after
        p.taken = base + len(fits)

    def _stand(self, p: GroupPartition, *, leading: bool) -> None:
        """Note where the attempts stand; ``leading`` as of Standing."""
        busy = p.best or p.ready
        standings = self._standings
        p.standing = standings.busy if busy else standings.of((n.states for n in p.groups), leading=leading)

    def tidy(self, p: GroupPartition) -> None:
        """Drop rows that are no longer needed, of the others the columns."""
        if p.standing.leading and not p.taken and self._within is not None:  # all of them are needed
            self._slim(p)
            return
        self._settle(p)
        self._shorten(p)
        self._stand(p, leading=p.standing.leading)

    def _leave(self, p: GroupPartition, key: Any) -> None:
        p.taken = p.base + len(p.fits)
        p.groups = {}
        p.expires = NEVER
        p.standing = self._standings.none
        super()._leave(p, key)

    def leave(self, p: GroupPartition, key: Any) -> None:
        """No attempt is open after a row."""
        self._leave(p, key)

    def _let_go(self, p: GroupPartition, key: Any) -> None:
        """As ``_leave``, of a key that is not lasting and whose rows were never settled."""
        del self._live[key]
        p.log.clear()
        p.ats.clear()
        p.fits.clear()
        p.standing = self._standings.none
        p.matches = p.covered = p.slim = 0
        self._spare.append(p)

    def _shorten(self, p: GroupPartition) -> None:
        oldest = self._oldest(p)
        while self._within is None and p.groups and oldest is not None and p.taken - oldest > self._max_rows:
            self._drop_oldest(p)
            oldest = self._oldest(p)
        if oldest is not None:
            p.forget_before(oldest - self._behind)
        self._slim(p)

    def _drop_oldest(self, p: GroupPartition) -> None:
        oldest = self._oldest(p)
        for node, starts in list(p.groups.items()):
            if starts[0] == oldest:
                starts.popleft()
                self._dropped += 1
                if oldest in p.best:
                    self._over(p, oldest)
                if not starts:
                    del p.groups[node]
                return

    # moving

    def _sorted(self, p: GroupPartition, _row: Any, _number: int, fits: int) -> Iterable[tuple[Node, int, deque[int]]]:
        """Groups and the bits of the row for each of them."""
        return [(node, fits, starts) for node, starts in p.groups.items()]

    def _move_all(self, p: GroupPartition, row: Any, number: int, fits: int) -> bool:
        """Move every group on by one row. True when the row completes a match inside which no other may begin."""
        after: dict[Node, deque[int]] = {}
        completed: int | None = None
        lost: list[int] = []
        for node, bits, starts in self._sorted(p, row, number, fits):
            move = node.moves.get(bits) or self._work_out(node, bits, number, after)
            if move.done >= 0:
                if not self._past_last:
                    for start in starts:
                        p.best[start] = (number, move.end)
                elif completed is None or starts[0] < completed:
                    completed = starts[0]
                    p.best[completed] = (number, move.end)
            to = move.to
            if to is None:
                if p.best:
                    lost.extend(starts)
            elif to in after:
                after[to] = merged(after[to], starts)
            else:
                after[to] = starts
        p.groups = after
        if completed is not None:
            self._cover(p, completed)
        for start in lost:
            if start in p.best:
                self._over(p, start)
        if self._only_oldest:
            self._prune_all(p, after)
        return completed is not None

    def _prune_all(self, p: GroupPartition, groups: dict[Node, deque[int]]) -> None:
        for starts in groups.values():
            if len(starts) > 1:
                self._prune(p, starts)

    def _work_out(self, node: Node, fits: int, _number: int, _after: Iterable[Node]) -> Move:
        """The move of a node, or of the start before a match's first row."""
        to, parents, done = following(self._program, self._bit_of, node.states, fits)
        move = node.moves[fits] = Move(self._node(to) if to else None, parents, done)
        return move

    def _begin_with(self, _p: GroupPartition, _row: Any, number: int, fits: int) -> Move:
        """What a row does as the first of a match."""
        return self._start.moves.get(fits) or self._work_out(self._start, fits, number, ())

    def _begin(self, p: GroupPartition, time: int, number: int, move: Move) -> None:
        to = move.to
        if to is not None:
            starts = p.groups.get(to)
            if starts is None:
                p.groups[to] = deque((number,))
            else:
                starts.append(number)
                if self._only_oldest:
                    self._prune(p, starts)
            if p.expires == NEVER and self._within is not None:
                p.expires = time + self._within
        if move.done >= 0:
            p.best[number] = (number, move.end)
            if to is None:
                self._over(p, number)

    def _over(self, p: GroupPartition, start: int) -> None:
        """An attempt that has a match takes no more rows."""
        insort(p.ready, start)
        p.ends[start] = p.best.pop(start)

    def _cover(self, p: GroupPartition, completed: int) -> None:
        """A match that begins at ``completed`` reaches to the present row: attempts that began after it would be skipped."""
        for node, starts in list(p.groups.items()):
            if starts[0] > completed:
                del p.groups[node]
            else:
                while starts[-1] > completed:
                    starts.pop()
        if len(p.best) > 1:
            p.best = {s: e for s, e in p.best.items() if s <= completed}
        while p.ready and p.ready[-1] > completed:
            del p.ends[p.ready.pop()]

    def _prune(self, p: GroupPartition, starts: deque[int]) -> None:
        """Of attempts in one node without bound in time, those after the first that has no match find what it finds."""
        if not p.best:
            while len(starts) > 1:
                starts.pop()
            return
        first = next((start for start in starts if start not in p.best), None)
        kept = [start for start in starts if start in p.best or start == first]
        starts.clear()
        starts.extend(kept)

    # deciding

    def _decide(self, p: GroupPartition, key: Any, when: tuple[int, int, int], out: list[Hit]) -> None:
        """Report matches that no older attempt holds back."""
        while p.ready:
            start = p.ready[0]
            if p.groups and min(starts[0] for starts in p.groups.values()) < start:
                return
            del p.ready[0]
            end = p.ends.pop(start)
            path = self._path(p, start, end)
            self._reporter.report(p, key, start, path, when, out, end[1] if self._absent else None)
            following_start = self._reporter.next_start(start, path)
            if p.groups or p.ready:
                self._skip(p, following_start)

    def _skip(self, p: GroupPartition, following: int) -> None:
        """Drop attempts that began before row number ``following``."""
        for node, starts in list(p.groups.items()):
            while starts and starts[0] < following:
                p.best.pop(starts.popleft(), None)
            if not starts:
                del p.groups[node]
        while p.ready and p.ready[0] < following:
            del p.ends[p.ready.pop(0)]

    def _path(self, p: GroupPartition, start: int, end: Any) -> list[int]:
        """The states in which the rows of a match were taken."""
        number, absent_at = end
        node: Node | None = self._start
        taken: list[tuple[Node, Move]] = []
        for bits in p.fits[start - p.base : number - p.base + 1]:
            assert node is not None
            move = node.moves.get(bits) or self._work_out(node, bits, 0, ())
            taken.append((node, move))
            node = move.to
        path: list[int] = []
        if absent_at is None:
            node, move = taken.pop()
            place = move.done
            path.append(node.states[place])
        else:
            assert node is not None
            place = node.waits
        for node, move in reversed(taken):
            place = move.parents[place]
            if node.states[place] not in self._absent:  # else the row was passed over
                path.append(node.states[place])
        path.reverse()
        return path

    def _expire(self, p: GroupPartition, key: Any, time: int, out: list[Hit]) -> None:
        within, log, base = self._within, p.log, p.base
        if within is None or time < p.expires:
            return
        self._settle(p)
        last = time - within  # attempts that began at or before it are over
        time_of = self._time_of
        while p.groups:
            expired = None  # the oldest first: each may let go what it held back
            for node, starts in p.groups.items():
                start = starts[0]
                if time_of(log[start - base]) <= last and (expired is None or start < expired[0]):
                    expired = (start, node)
            if expired is None:
                break
            start, node = expired
            starts = p.groups[node]
            if p.best or p.ready or node.waits >= 0:
                starts.popleft()
                deadline = time_of(log[start - base]) + within
                if node.waits >= 0:
                    p.best[start] = (p.taken - 1, deadline)
                if start in p.best:
                    self._over(p, start)
                if not starts:
                    del p.groups[node]
                self._decide(p, key, (deadline, 0, p.ats[start - base]), out)
                continue
            while starts and time_of(log[starts[0] - base]) <= last:
                starts.popleft()
            if not starts:
                del p.groups[node]
        self._expect(p)
        self._stand(p, leading=p.standing.leading)

    def _expect(self, p: GroupPartition) -> None:
        """Note when the oldest open attempt runs out of time."""
        p.expires = NEVER
        if self._within is not None and p.groups:
            p.expires = self._time_of(p.log[min(s[0] for s in p.groups.values()) - p.base]) + self._within

    def _close(self, p: GroupPartition, key: Any, out: list[Hit]) -> None:
        self._settle(p)
        for node, waiting in p.groups.items():
            if node.waits >= 0:
                for start in waiting:
                    p.best[start] = (p.taken - 1, self._time_of(p.log[start - p.base]) + (self._within or 0))
        starts = sorted(s for starts in p.groups.values() for s in starts if s in p.best)
        p.groups = {}
        for start in starts:
            self._over(p, start)
        if p.ready:
            first = p.ready[0] - p.base
            self._decide(p, key, (self._time_of(p.log[first]), 0, p.ats[first]), out)

    def _oldest(self, p: GroupPartition) -> int | None:
        self._settle(p)
        oldest = p.ready[0] if p.ready else None
        for starts in p.groups.values():
            if oldest is None or starts[0] < oldest:
                oldest = starts[0]
        return oldest

    def _idle(self, p: GroupPartition) -> bool:
        return p.standing is self._standings.none

    def _waits(self, p: GroupPartition) -> bool:
        if self._absent:
            self._settle(p)  # rows since may have begun all attempts that there are
        return bool(p.best or p.ready or (self._absent and p.groups))

    def _open(self, p: GroupPartition) -> int:
        self._settle(p)
        return sum(map(len, p.groups.values())) + len(p.ready)

    def _reset(self, p: GroupPartition) -> None:
        p.fits.clear()

    # as plain values

    def _save(self, p: GroupPartition) -> Any:
        self._settle(p)
        groups = [[list(node.states), *self._save_runs(node), list(starts)] for node, starts in p.groups.items()]
        return [p.fits, groups, *([list(p.best.items()), list(p.ends.items())] if p.best or p.ready else [])]

    def _save_runs(self, _node: Node) -> list[Any]:
        return []

    def _restore(self, p: GroupPartition, saved: Any) -> None:
        p.fits, groups, *ends = saved
        p.groups = {}
        for states, *runs, starts in groups:
            p.groups[self._restored(tuple(states), runs, p.groups)] = deque(starts)
        if ends:
            p.best, p.ends = ({start: self._restored_end(end) for start, end in found} for found in ends)
            p.ready = sorted(p.ends)
        self._expect(p)
        self._stand(p, leading=False)

    def _restored(self, states: States, _runs: Any, _others: Iterable[Node]) -> Node:
        return self._node(states)

    def _restored_end(self, end: Any) -> Any:
        return tuple(end)
