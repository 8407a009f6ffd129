"""Where all attempts of a key stand, whichever row each of them began at: all that most rows need to be told what they do.

The lists of states (see ``nodes``) in which a key has attempts are a *standing*. What a row does to it is worked out once and
looked up from then on, so that a row costs a look-up as long as nothing is decided; most keys are let go of before it is.
Which attempt stands where is found out afterwards, from the bits of the rows, when a row may decide something.

    rows       A    A     A      A       W         PATTERN (A{3,} W)
    standing   A2   A3A2  A3WA3A2        act       W completes the oldest: now the starts are looked for
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.runtime.nodes import following

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from m1cep.plan.program import Program
    from m1cep.runtime.nodes import States

MAX_STANDINGS = 10_000  # standings remembered, with what rows do to them


class Standing(dict[int, "Standing | None"]):
    """By the bits of a row, where the attempts stand after it; None where attempts must be looked at."""

    __slots__ = ("lists",)

    def __init__(self, lists: frozenset[States]) -> None:
        super().__init__()
        self.lists = lists


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
        self._known: dict[frozenset[States], Standing] = {}
        self.none = Standing(frozenset())
        self.gone = Standing(frozenset())
        self.busy = Standing(frozenset())

    def of(self, lists: Iterable[States]) -> Standing:
        """The standing of attempts in these lists."""
        wanted = frozenset(lists)
        if not wanted:
            return self.none
        found = self._known.get(wanted)
        if found is None:
            if len(self._known) >= MAX_STANDINGS:  # nobody comes back to most of them
                self._known.clear()
                self.none.clear()
            found = self._known[wanted] = Standing(wanted)
        return found

    def learn(self, standing: Standing, bits: int) -> None:
        """Work out what a row does."""
        if standing is not self.busy and bits not in standing:
            standing[bits] = self._after(standing.lists, bits)

    def _after(self, lists: frozenset[States], bits: int) -> Standing | None:
        after: set[States] = set()
        for states in [*lists, self._program.start]:
            if any(bits & self._dynamic & self._bit_of[state] for state in states):
                return None
            to, _, done = following(self._program, self._bit_of, states, bits)
            if done >= 0:
                return None
            if to:
                after.add(to)
        if self._wait(after) and not self._wait(lists):  # their time must be looked after
            return None
        return self.of(after) if after else self.gone

    def _wait(self, lists: Iterable[States]) -> bool:
        return any(state in self._program.waits for states in lists for state in states)
