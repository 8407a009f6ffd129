"""Row patterns as programs: states that take a row, and what may follow each of them, in order of preference.

The construction is Thompson's, with the preferences of a backtracking matcher: an iteration of a loop that took no row ends
the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

from m1cep.plan.pattern import Absent, Alt, Anchor, Concat, Empty, Exclude, Pattern, Permute, Repeat, Var

DONE = -1
"""In a list of next states: the pattern is complete here."""
AT_END = -2
"""In a list of next states: the pattern is complete here if no row follows in the partition (``$``)."""

MAX_STATES = 20_000
_MAX_PLACES = 200_000  # places visited while the states after one state are listed


@dataclass(frozen=True, slots=True)
class Program:
    """A pattern as states, one for each place where a row can be taken.

    Attributes:
        labels: the variable of each state.
        start: states to try on a match's first row, in order of preference.
        next: after a row was taken in state s, ``next[s]`` are the states to go on with in order of preference;
            DONE among them means that the match may end here, preferred over what follows it.
        first: as ``start``, for the first row of a partition, where ``^`` holds.
        excluded: states inside ``{- -}``.
        waits: states of ABSENT: they take no row, and are complete when WITHIN has run out.
    """

    labels: tuple[str, ...]
    start: tuple[int, ...]
    next: tuple[tuple[int, ...], ...]
    first: tuple[int, ...] = ()
    excluded: frozenset[int] = frozenset()
    waits: frozenset[int] = frozenset()

    @property
    def has_anchors(self) -> bool:
        """Whether ``^`` or ``$`` decides anything."""
        return self.first != self.start or any(AT_END in n for n in (self.start, *self.next))

    @property
    def may_be_empty(self) -> bool:
        """Whether the pattern can be complete without a row."""
        return any(end in states for states in (self.start, self.first) for end in (DONE, AT_END))


class TooManyStatesError(ValueError):
    """A pattern that would need more than MAX_STATES states."""


def compile_program(pattern: Pattern) -> Program:
    """The program of a pattern.

    >>> compile_program(Concat((Var("A"), Repeat(Var("B"), 1, None)))).next
    ((1,), (1, -1))

    Raises:
        TooManyStatesError: the pattern's counts are too large.
    """
    builder = _Builder()
    start = builder.add(pattern, _Node(DONE))
    states = builder.states
    return Program(
        labels=tuple(s.label for s in states),
        start=_following(start, first=False),
        next=tuple(_following(s.after, first=False) for s in states),
        first=_following(start, first=True),
        excluded=frozenset(s.state for s in states if s.excluded and s.state is not None),
        waits=frozenset(s.state for s in states if s.waits and s.state is not None),
    )


class _Node:
    """A place in the graph: a state to take a row in, the end, an anchor, or a choice between places in order.

    ``began`` is set on the place after a loop's iteration: the places where that iteration may have begun (they are
    ``entry``); ``exit`` is where to go when it took no row.
    """

    __slots__ = ("after", "anchor", "began", "choices", "entry", "excluded", "exit", "label", "state", "waits")

    def __init__(self, state: int | None = None) -> None:
        self.state = state
        self.label = ""
        self.choices: tuple[_Node, ...] = ()
        self.after: _Node = self
        self.anchor = ""
        self.began: tuple[_Node, ...] = ()
        self.entry = False
        self.exit: _Node = self
        self.excluded = False
        self.waits = False


class _Builder:
    def __init__(self) -> None:
        self.states: list[_Node] = []
        self._excluding = 0

    def add(self, pattern: Pattern, after: _Node) -> _Node:
        """The place to begin at so that ``pattern`` and then ``after`` is matched."""
        match pattern:
            case Var(name=name) | Absent(name=name):
                node = self._state(name, after)
                node.waits = isinstance(pattern, Absent)
                return node
            case Empty():
                return after
            case Anchor(kind=kind):
                node = _Node()
                node.anchor, node.choices = kind, (after,)
                return node
            case Concat(parts=parts):
                return self._concat(parts, after)
            case Alt(parts=parts):
                choice = _Node()
                choice.choices = tuple(self.add(part, after) for part in parts)
                return choice
            case Permute(parts=parts):
                return self.add(Alt(tuple(Concat(order) for order in permutations(parts))), after)
            case Exclude(part=part):
                self._excluding += 1
                begin = self.add(part, after)
                self._excluding -= 1
                return begin
            case Repeat():
                return self._repeat(pattern, after)

    def _concat(self, parts: tuple[Pattern, ...], after: _Node) -> _Node:
        """Built from the left so that states are numbered as written: each joint is reserved first."""
        joints = [_Node() for _ in parts[1:]] + [after]
        begins = [self.add(part, joint) for part, joint in zip(parts, joints, strict=True)]
        for joint, begin in zip(joints, begins[1:], strict=False):
            joint.choices = (begin,)
        return begins[0]

    def _state(self, name: str, after: _Node) -> _Node:
        if len(self.states) >= MAX_STATES:
            raise TooManyStatesError
        node = _Node(len(self.states))
        node.label, node.after, node.excluded = name, after, self._excluding > 0
        self.states.append(node)
        return node

    def _repeat(self, repeat: Repeat, after: _Node) -> _Node:
        part, greedy, empty = repeat.part, repeat.greedy, _nullable(repeat.part)
        begin = here = entered = _Node()
        for _ in range(repeat.low):
            joint = _Node()
            again = self.add(part, joint)
            here.choices = (again,)
            entered, here = here, joint
        if repeat.high is None:
            if repeat.low == 0:
                again = self.add(part, here)
            # A+ is one state that goes back to itself; A{3,} three, the last of which does.
            here.choices = (again, after) if greedy else (after, again)
            if empty:
                entered.entry = here.entry = True
                here.began, here.exit = (entered, here), after
            return begin
        for _ in range(repeat.high - repeat.low):
            joint = _Node()
            more = self.add(part, joint)
            here.choices = (more, after) if greedy else (after, more)
            if empty:
                here.entry = True
                joint.began, joint.exit = (here,), after
            here = joint
        here.choices = (after,)
        return begin


def _nullable(pattern: Pattern) -> bool:
    """Whether a part can be matched without a row."""
    match pattern:
        case Var() | Absent():
            return False
        case Concat(parts=parts) | Permute(parts=parts):
            return all(_nullable(p) for p in parts)
        case Alt(parts=parts):
            return any(_nullable(p) for p in parts)
        case Repeat(part=part, low=low):
            return low == 0 or _nullable(part)
        case Exclude(part=part):
            return _nullable(part)
    return True


def _following(start: _Node, *, first: bool) -> tuple[int, ...]:
    """The states reachable without taking a row, in order of preference, up to DONE: what is less preferred than the end
    of the match can never win over it.
    """
    out: list[int] = []
    seen: set[tuple[int, bool, frozenset[int]]] = set()
    # (place, whether $ was passed, loop iterations begun on the way here without taking a row)
    stack: list[tuple[_Node, bool, frozenset[int]]] = [(start, False, frozenset())]
    while stack:
        node, ended, open_ = stack.pop()
        if (id(node), ended, open_) in seen:
            continue
        seen.add((id(node), ended, open_))
        if len(seen) > _MAX_PLACES:
            raise TooManyStatesError
        if node.state is not None:
            state = AT_END if node.state == DONE and ended else node.state
            if state not in out and (state < 0 or not ended):
                out.append(state)
            if state == DONE:
                break
            continue
        if node.anchor:
            if node.anchor == "$" or first:
                stack.append((node.choices[0], ended or node.anchor == "$", open_))
            continue
        if any(id(began) in open_ for began in node.began):  # this iteration took no row: the loop ends
            stack.append((node.exit, ended, open_))
            continue
        inside = open_ | {id(node)} if node.entry else open_
        stack.extend((choice, ended, inside) for choice in reversed(node.choices))
    return tuple(out)
