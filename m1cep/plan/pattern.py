"""Row patterns as trees (SQL:2016, part 2, 7.6 <row pattern>), and the program they compile to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

DONE = -1
"""In a list of next states: the pattern is complete here."""

MAX_STATES = 20_000


@dataclass(frozen=True, slots=True)
class Var:
    """A variable: one row."""

    name: str
    pos: int = 0


@dataclass(frozen=True, slots=True)
class Concat:
    """One after the other."""

    parts: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Alt:
    """The first alternative that leads to a match."""

    parts: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """``low`` to ``high`` times (None: without limit); as many as possible when greedy."""

    part: Pattern
    low: int
    high: int | None
    greedy: bool = True
    pos: int = 0


@dataclass(frozen=True, slots=True)
class Permute:
    """All orders of the parts, in lexicographic preference."""

    parts: tuple[Pattern, ...]
    pos: int = 0


@dataclass(frozen=True, slots=True)
class Exclude:
    """``{- part -}``: matched, left out of ALL ROWS PER MATCH."""

    part: Pattern
    pos: int = 0


@dataclass(frozen=True, slots=True)
class Anchor:
    """``^``: before the partition's first row; ``$``: after its last."""

    kind: str
    pos: int = 0


@dataclass(frozen=True, slots=True)
class Empty:
    """``()``: no row."""

    pos: int = 0


@dataclass(frozen=True, slots=True)
class Absent:
    """``ABSENT(v)``: no row of the variable until WITHIN runs out."""

    name: str
    pos: int = 0


Pattern: TypeAlias = Var | Concat | Alt | Repeat | Permute | Exclude | Anchor | Empty | Absent


def variables(pattern: Pattern) -> Iterator[Var]:
    """Every occurrence of a variable, from left to right."""
    match pattern:
        case Var():
            yield pattern
        case Absent(name=name, pos=pos):
            yield Var(name, pos)
        case Concat(parts=parts) | Alt(parts=parts) | Permute(parts=parts):
            for part in parts:
                yield from variables(part)
        case Repeat(part=part) | Exclude(part=part):
            yield from variables(part)


@dataclass(frozen=True, slots=True)
class Program:
    """A pattern as states, one for each place where a row can be taken.

    Attributes:
        labels: the variable of each state.
        start: states to try on a match's first row, in order of preference.
        next: after a row was taken in state s, ``next[s]`` are the states to go on with in order of preference;
            DONE among them means that the match may end here, preferred over what follows it.
    """

    labels: tuple[str, ...]
    start: tuple[int, ...]
    next: tuple[tuple[int, ...], ...]


class TooManyStatesError(ValueError):
    """A pattern that would need more than MAX_STATES states."""


def compile_program(pattern: Pattern) -> Program:
    """The program of a pattern (Thompson's construction, preferences as in a backtracking matcher).

    >>> compile_program(Concat((Var("A"), Repeat(Var("B"), 1, None))))
    Program(labels=('A', 'B'), start=(0,), next=((1,), (1, -1)))

    Raises:
        TooManyStatesError: the pattern's counts are too large.
        TypeError: a part that the checks refuse before (PERMUTE, exclusion, anchors, absence).
    """
    builder = _Builder()
    start = builder.add(pattern, _Node(DONE))
    states = builder.states
    return Program(
        labels=tuple(s.label for s in states),
        start=_closure(start),
        next=tuple(_closure(s.after) for s in states),
    )


class _Node:
    """A place in the graph: a state to take a row in, the end, or a choice between places in order."""

    __slots__ = ("after", "choices", "label", "state")

    def __init__(self, state: int | None = None) -> None:
        self.state = state
        self.label = ""
        self.choices: list[_Node] = []
        self.after: _Node = self


class _Builder:
    def __init__(self) -> None:
        self.states: list[_Node] = []

    def add(self, pattern: Pattern, after: _Node) -> _Node:
        """The place to begin at so that ``pattern`` and then ``after`` is matched."""
        match pattern:
            case Var(name=name):
                return self._state(name, after)
            case Empty():
                return after
            case Concat(parts=parts):
                # Built from the left so that states are numbered as written: reserve each joint first.
                joints = [_Node() for _ in parts[1:]] + [after]
                begins = [self.add(part, joint) for part, joint in zip(parts, joints, strict=True)]
                for joint, begin in zip(joints, begins[1:], strict=False):
                    joint.choices = [begin]
                return begins[0]
            case Alt(parts=parts):
                choice = _Node()
                choice.choices = [self.add(part, after) for part in parts]
                return choice
            case Repeat():
                return self._repeat(pattern, after)
        raise TypeError(type(pattern).__name__)

    def _state(self, name: str, after: _Node) -> _Node:
        if len(self.states) >= MAX_STATES:
            raise TooManyStatesError
        node = _Node(len(self.states))
        node.label, node.after = name, after
        self.states.append(node)
        return node

    def _repeat(self, repeat: Repeat, after: _Node) -> _Node:
        part, greedy = repeat.part, repeat.greedy
        begin = here = _Node()
        for _ in range(repeat.low):
            joint = _Node()
            again = self.add(part, joint)
            here.choices = [again]
            here = joint
        if repeat.high is None:
            if repeat.low == 0:
                again = self.add(part, here)
            # A+ is one state that goes back to itself; A{3,} three, the last of which does.
            here.choices = [again, after] if greedy else [after, again]
            return begin
        for _ in range(repeat.high - repeat.low):
            joint = _Node()
            more = self.add(part, joint)
            here.choices = [more, after] if greedy else [after, more]
            here = joint
        here.choices = [after]
        return begin


def _closure(start: _Node) -> tuple[int, ...]:
    """The states reachable without taking a row, in order of preference; nothing after DONE can be preferred to it,
    but may still be tried by a caller that has not ended, so it is kept.
    """
    seen: set[int] = set()
    out: list[int] = []
    stack = [start]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.state is None:
            stack.extend(reversed(node.choices))
        elif node.state not in out:
            out.append(node.state)
    # What is less preferred than the end of the match can never win over it.
    return tuple(out[: out.index(DONE) + 1]) if DONE in out else tuple(out)
