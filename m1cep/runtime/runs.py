"""Row patterns whose conditions look back over runs of rows, such as ``A+ B`` with B against AVG(A.qty).

Attempts that begin in the same run of A's take every later row in the same way, until a condition asks what each of them has
taken. So they stay one group, that knows how its rows were labelled: closed runs, and the one under way.

    rows      A1  A2  A3  A4  B          starts 1, 2, 3, 4 in one group, with the run  A from the start to now
    B asks    SUM(A4) SUM(A3,A4) ...     one pass from the newest row back gives the memory of every start

A row that fits no variable whose condition looks back moves the group, whatever its size. One that does is tried on each
attempt, the oldest first: with SKIP PAST LAST ROW the first that completes makes an end of the others.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from m1cep.runtime.groups import GroupMatcher, GroupPartition
from m1cep.runtime.nodes import Move, Node, following

if TYPE_CHECKING:
    from collections.abc import Iterable

    from m1cep.runtime.matcher import Setup
    from m1cep.runtime.nodes import States
    from m1cep.runtime.outcome import Hit

    Memory = tuple[Any, ...]


class Runs(NamedTuple):
    """How the rows of an attempt were labelled: from its first row to ``ends[0]`` (exclusive) ``labels[0]``, and so on; the
    last run is under way. A label is given as a state that has it.
    """

    labels: tuple[int, ...]
    ends: tuple[int, ...]

    def then(self, label: int, number: int) -> Runs:
        """With row ``number`` labelled so."""
        if self.labels and self.labels[-1] == label:
            return self
        return Runs((*self.labels, label), (*self.ends, number) if self.labels else ())

    def path(self, start: int, end: int) -> list[int]:
        """The labels of rows ``start`` to ``end``, inclusive."""
        path: list[int] = []
        for label, until in zip(self.labels, (*self.ends, end + 1), strict=True):
            path += [label] * (until - start - len(path))
        return path


NO_RUNS = Runs((), ())


_LARGE = 32  # attempts in a group from which it pays to ask the oldest alone first


class RunMatcher(GroupMatcher):
    """As GroupMatcher, for patterns in which no two ways lead to one state and that begin with a loop."""

    def __init__(self, setup: Setup) -> None:
        module, program = setup.module, setup.program
        same: dict[tuple[str, bool], int] = {}
        self._label = [
            same.setdefault((label, state in program.excluded), state) for state, label in enumerate(program.labels)
        ]
        self._dynamic: int = module["DYNAMIC"]
        super().__init__(setup)
        self._tries = module["TRIES"]
        self._backs = module["BACKS"]
        self._empty: Memory = module["EMPTY"]
        self._oldest_fitting = module["OLDEST"]
        self._only_oldest = False  # attempts differ in what they have taken

    def step(self, p: GroupPartition, key: Any, row: Any, time: int, at: int, fits: int, out: list[Hit]) -> None:
        """As GroupMatcher's, shorter where all a row does is to complete one of the attempts of a leading loop, or none."""
        standing = p.standing
        if fits not in standing:
            self._standings.learn(standing, fits)
        ask = standing.asks.get(fits)
        if ask is None or time >= p.expires or (fitting := self._oldest_fitting[ask.state]) is None:
            super().step(p, key, row, time, at, fits, out)
            return
        log, base = p.log, p.base
        first = (min([starts[0] for starts in p.groups.values()]) if p.groups else p.taken) - base
        last = len(log) - 1
        start = fitting(row, log, first, last, last - ask.rows)
        if start is not None:
            path = [self._label[0]] * (last - start)
            path.append(self._label[ask.state])
            self._reporter.report(p, key, base + start, path, (time, 1, at), out)
        elif ask.after is not self._standings.gone:
            p.ats.append(at)
            p.fits.append(ask.bits)
            p.standing = ask.after
            return
        if p.taken:
            self._leave(p, key)
        else:
            self._let_go(p, key)

    def _node(self, states: States) -> Node:
        """The node before a match's first row."""
        return self._node_of(states, (NO_RUNS,) * len(states), ())

    def _node_of(self, states: States, runs: tuple[Runs, ...], others: Iterable[Node]) -> Node:
        """The node of a list and its runs. Runs that have ended are of one key and one time: such nodes are not kept."""
        fleeting = any(r.ends for r in runs)
        node = None if fleeting else self._nodes.get((states, runs))
        if fleeting:
            node = next((n for n in others if n.states == states and n.runs == runs), None)
        if node is None:
            asks = 0
            for state in states:
                asks |= self._bit_of[state] & self._dynamic
            node = Node(states, runs, asks)
            if not fleeting:
                self._remember((states, runs), node)
        return node

    def _work_out(self, node: Node, fits: int, number: int, others: Iterable[Node]) -> Move:
        to, parents, done = following(self._program, self._bit_of, node.states, fits)
        states, runs, label = node.states, node.runs, self._label
        target = None
        if to:
            runs_to = tuple(runs[x].then(label[states[x]], number) for x in parents)
            target = self._node_of(to, runs_to, others)
        move = Move(target, parents, done, None if done < 0 else runs[done].then(label[states[done]], number))
        if (target is None or not any(r.ends for r in target.runs)) and done < 0:  # the same whatever the row's number
            node.moves[fits] = move
        return move

    def _sorted(self, p: GroupPartition, row: Any, number: int, fits: int) -> list[tuple[Node, int, deque[int]]]:
        """Groups and the bits of the row for each, split by what the conditions that look back say of each attempt."""
        answers: list[tuple[Node, int, deque[int]]] = []
        groups = p.groups.items()
        for node, starts in groups if len(groups) == 1 else sorted(groups, key=lambda item: item[1][0]):
            asked = fits & node.asks
            if not asked:
                answers.append((node, fits, starts))
                continue
            found = self._answers(p, node, starts, row, number, fits, asked)
            if len(found) == 1 and len(starts) > 1:  # the oldest completes: the others do not count
                answers.append((node, found[0][1], deque((found[0][0],))))
            elif all(bits == found[0][1] for _, bits in found) and len(found) == len(starts):
                answers.append((node, found[0][1], starts))
            else:
                split: dict[int, deque[int]] = {}
                for start, bits in found:
                    split.setdefault(bits, deque()).append(start)
                answers.extend((node, bits, some) for bits, some in split.items())
        return answers

    def _answers(
        self, p: GroupPartition, node: Node, starts: deque[int], row: Any, number: int, fits: int, asked: int
    ) -> list[tuple[int, int]]:
        """(start, bits) of each attempt of a group, oldest first, up to the first that completes where those after it do not
        count. Of a large group the oldest is asked first: if it completes, the memories of the others are not needed.
        """
        if self._past_last and len(starts) > _LARGE:
            oldest = self._answers(p, node, deque((starts[0],)), row, number, fits, asked)
            if node.completes[oldest[0][1]]:
                return oldest
        log, j = p.log, number - p.base
        memories: dict[Runs, dict[int, Memory]] = {}
        asks = []
        for place, state in enumerate(node.states):
            if self._bit_of[state] & asked:
                runs = node.runs[place]
                if runs not in memories:
                    memories[runs] = self._memories(p, runs, starts, number)
                asks.append((self._bit_of[state], self._tries[state], memories[runs], state))
        found: list[tuple[int, int]] = []
        fits &= ~asked
        for start in starts:
            bits = fits
            for bit, holds, memory, state in asks:
                if not bits & bit and holds(row, memory[start], log, j, state) is not None:
                    bits |= bit
            found.append((start, bits))
            if self._past_last:
                completes = node.completes.get(bits)
                if completes is None:
                    completes = node.completes[bits] = following(self._program, self._bit_of, node.states, bits)[2] >= 0
                if completes:
                    break
        return found

    def _memories(self, p: GroupPartition, runs: Runs, starts: deque[int], number: int) -> dict[int, Memory]:
        """What each attempt has taken: one pass from the newest row back to the oldest start."""
        log, base, wanted = p.log, p.base, set(starts)
        memory = self._empty
        found: dict[int, Memory] = {}
        ends, place = runs.ends, len(runs.ends)
        back = self._backs[runs.labels[place]]
        for n in range(number - 1, starts[0] - 1, -1):
            while place and n < ends[place - 1]:
                place -= 1
                back = self._backs[runs.labels[place]]
            memory = back(log[n - base], memory, log, n - base)
            if n in wanted:
                found[n] = memory
        return found

    def _begin_with(self, p: GroupPartition, row: Any, number: int, fits: int) -> Move:
        asked = fits & self._start.asks
        if asked:
            log, j = p.log, number - p.base
            fits &= ~asked
            for state in self._start.states:
                bit = self._bit_of[state]
                if bit & asked and self._tries[state](row, self._empty, log, j, state) is not None:
                    fits |= bit
        return self._start.moves.get(fits) or self._work_out(self._start, fits, number, p.groups)

    def _path(self, _p: GroupPartition, start: int, end: Any) -> list[int]:
        number, runs = end
        path: list[int] = runs.path(start, number)
        return path

    def _save_runs(self, node: Node) -> list[Any]:
        return [list(node.runs)]

    def _restored(self, states: States, runs: Any, others: Iterable[Node]) -> Node:
        return self._node_of(states, tuple(Runs(*map(tuple, r)) for r in runs[0]), others)

    def _restored_end(self, end: Any) -> Any:
        number, runs = end
        return number, Runs(*map(tuple, runs))
