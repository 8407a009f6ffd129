"""Lists of states that attempts stand in, and how rows move attempts from list to list."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from m1cep.plan.program import DONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.plan.program import Program

    States = tuple[int, ...]


class Node:
    """A list of states, most preferred first. There is one Node for each list.

    Attributes:
        states: the list.
        moves: by the bits of a row, what it does to attempts that stand here.
        runs: how the rows of the attempts were labelled, by place in ``states``, where that is needed (see ``runs``).
        asks: bits of the variables whose conditions look back.
        completes: by the bits of a row, whether the pattern is complete with it.
        waits: the place of the most preferred state of ABSENT, or -1.
    """

    __slots__ = ("asks", "completes", "moves", "runs", "states", "waits")

    def __init__(self, states: States, runs: Any = (), asks: int = 0, waits: int = -1) -> None:
        self.states = states
        self.waits = waits
        self.moves: dict[int, Move] = {}
        self.runs = runs
        self.asks = asks
        self.completes: dict[int, bool] = {}


class Move:
    """What a row does to the attempts of a node.

    Attributes:
        to: where they stand after it, or None.
        parents: for each state of ``to``, the place in the list before of the state that took the row.
        done: the place of the state that completes the pattern, or -1.
        end: what ``best`` notes of a match that ends here, beside the row's number.
    """

    __slots__ = ("done", "end", "parents", "to")

    def __init__(self, to: Node | None, parents: tuple[int, ...], done: int, end: Any = None) -> None:
        self.to = to
        self.parents = parents
        self.done = done
        self.end = end


def following(
    program: Program, bit_of: Sequence[int], states: States, fits: int
) -> tuple[States, tuple[int, ...], int]:
    """What a row does to a list of states: the list after it, the parent of each state in it, the place that completes the
    pattern or -1. ``bit_of``: by state, the bit of its variable in ``fits``.
    """
    to: list[int] = []
    parents: list[int] = []
    for place, state in enumerate(states):
        fit = fits & bit_of[state]
        if state in program.waits and not fit and state not in to:  # goes on waiting, whatever row this is
            to.append(state)
            parents.append(place)
        if state in program.waits or not fit:
            continue
        for nxt in program.next[state]:
            if nxt == DONE:  # less preferred states can no longer win
                return tuple(to), tuple(parents), place
            if nxt not in to:
                to.append(nxt)
                parents.append(place)
    return tuple(to), tuple(parents), -1


def merged(a: deque[int], b: deque[int]) -> deque[int]:
    """Starts of both, ascending."""
    if a[-1] < b[0]:
        a.extend(b)
        return a
    if b[-1] < a[0]:
        b.extend(a)
        return b
    return deque(sorted([*a, *b]))
