"""Where all attempts of a key stand, whichever row each of them began at: all that most rows need to be told what they do.

The lists of states (see ``nodes``) in which a key has attempts are a *standing*. What a row does to it is worked out once and
looked up from then on, so that a row costs a look-up as long as nothing is decided; most keys are let go of before it is.
Which attempt stands where is found out afterwards, from the bits of the rows, when a row may decide something.

    rows       A    A     A      A       W         PATTERN (A{3,} W)
    standing   A2   A3A2  A3WA3A2        act       W completes the oldest: now the starts are looked for
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from m1cep.runtime.nodes import following

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from m1cep.plan.program import Program
    from m1cep.runtime.nodes import States

MAX_STANDINGS = 10_000  # standings remembered, with what rows do to them


class Standing(dict[int, "Standing | None"]):
    """By the bits of a row, where the attempts stand after it; None where attempts must be looked at.

    Attributes:
        lists: in which there are attempts.
        leading: every row since the key had no attempt was taken by the loop with which the pattern begins, so that there is
            an attempt from each of them on.
        fresh: the newest row's attempt is the only one.
        asks: by the bits of a row, what it asks of the attempts, where that is all it does.
    """

    __slots__ = ("asks", "fresh", "leading", "lists")

    def __init__(self, lists: frozenset[States], *, leading: bool = False, fresh: bool = False) -> None:
        super().__init__()
        self.lists = lists
        self.leading = leading
        self.fresh = fresh
        self.asks: dict[int, Ask] = {}


class Ask(NamedTuple):
    """Attempts in a leading loop are asked whether a row completes them; those that it does not complete are over.

    Attributes:
        state: that takes the row.
        rows: that an attempt must have taken to be asked.
        bits: of the row where it completes none.
        after: where the attempts stand then.
    """

    state: int
    rows: int
    bits: int
    after: Standing


class Standings:
    """All standings of a pattern.

    Attributes:
        none: no attempt is open, and the next row may begin one.
        gone: no attempt is open after a row. To look at ``state is gone`` costs less than to ask whether one is open.
        busy: matches are found but not decided: each row must be looked at.
    """

    def __init__(self, program: Program, bit_of: Sequence[int], dynamic: int) -> None:
        self._program = program
        self._bit_of = bit_of
        self._dynamic = dynamic
        self._loop = program.labels[program.start[0]] if program.start else ""
        self._known: dict[tuple[frozenset[States], bool, bool], Standing] = {}
        self.none = Standing(frozenset(), leading=True)
        self.gone = Standing(frozenset())
        self.busy = Standing(frozenset())

    def of(self, lists: Iterable[States], *, leading: bool = False, fresh: bool = False) -> Standing:
        """The standing of attempts in these lists."""
        wanted = frozenset(lists)
        if not wanted:
            return self.none
        found = self._known.get((wanted, leading, fresh))
        if found is None:
            if len(self._known) >= MAX_STANDINGS:  # nobody comes back to most of them
                self._known.clear()
                self.none.clear()
            found = self._known[wanted, leading, fresh] = Standing(wanted, leading=leading, fresh=fresh)
        return found

    def learn(self, standing: Standing, bits: int) -> None:
        """Work out what a row does."""
        if standing is not self.busy and bits not in standing:
            standing[bits] = self._after(standing, bits)
            ask = self._ask(standing, bits) if standing.leading and standing[bits] is None else None
            if ask is not None:
                standing.asks[bits] = ask

    def _after(self, standing: Standing, bits: int) -> Standing | None:
        after: set[States] = set()
        leading, fresh = standing.leading, True
        for nth, states in enumerate([*standing.lists, self._program.start]):
            if self._asked(states, bits):
                return None
            to, parents, done = following(self._program, self._bit_of, states, bits)
            if done >= 0:
                return None
            if to:
                after.add(to)
                fresh = fresh and nth == len(standing.lists)
                leading = leading and all(self._program.labels[states[place]] == self._loop for place in parents)
        if self._wait(after) and not self._wait(standing.lists):  # their time must be looked after
            return None
        return self.of(after, leading=leading, fresh=fresh) if after else self.gone

    def _asked(self, states: States, bits: int) -> list[int]:
        """Those of the states whose condition must be asked."""
        return [state for state in states if bits & self._dynamic & self._bit_of[state]]

    def _ask(self, standing: Standing, bits: int) -> Ask | None:
        """What a row asks where one state of the attempts that stay in the leading loop is all that asks, and completes."""
        asking = [(states, self._asked(states, bits)) for states in [*standing.lists, self._program.start]]
        found = [(states, asked) for states, asked in asking if asked]
        if len(found) != 1 or len(found[0][1]) != 1:
            return None
        states, (state,) = found[0]
        fewer = bits & ~self._bit_of[state]
        to, _, done = following(self._program, self._bit_of, states, bits)
        otherwise = following(self._program, self._bit_of, states, fewer)
        rows = self._rows_until(states)
        after = self._after(standing, fewer)
        if to or done < 0 or otherwise[0] or otherwise[2] >= 0 or rows is None or after is None:
            return None
        return Ask(state, rows, fewer, after)

    def _rows_until(self, states: States) -> int | None:
        """How many rows an attempt in the leading loop takes until it stands in ``states`` for good; None where it never does."""
        bit = self._bit_of[self._program.labels.index(self._loop)]
        here = self._program.start
        for rows in range(len(self._program.labels) + 2):
            there = following(self._program, self._bit_of, here, bit)[0]
            if here == states:
                return rows if there == here else None
            here = there
        return None

    def _wait(self, lists: Iterable[States]) -> bool:
        return any(state in self._program.waits for states in lists for state in states)
