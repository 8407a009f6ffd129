"""Which patterns can follow attempts in groups instead of one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.plan.constants import constants
from m1cep.plan.ir import Label, walk
from m1cep.plan.pattern import Concat, Pattern, Repeat, Var
from m1cep.plan.program import DONE
from m1cep.plan.slots import depends_on_past, reach

if TYPE_CHECKING:
    from m1cep.plan.ir import Expr
    from m1cep.plan.plans import MatchPlan
    from m1cep.plan.program import Program

_MAX_LISTS = 300


def way_to_follow(plan: MatchPlan, program: Program) -> str:
    """GROUPS where what an attempt can still do depends on its list of states alone; RUNS where it depends, besides, on runs of
    rows that attempts have in common; THREADS for all others.
    """
    if program.has_anchors or program.may_be_empty or plan.rows == "ALL ROWS WITH UNMATCHED":
        return "THREADS"
    exprs = [*plan.define.values(), *(o.expr for o in plan.select), plan.having]
    if reach(exprs)[1]:
        return "THREADS"
    if not any(depends_on_past(c) for c in plan.define.values()):
        return "GROUPS"
    if program.waits:
        return "THREADS"
    labels = any(isinstance(e, Label) for c in plan.define.values() for e in walk(c))
    asking = {s for s, label in enumerate(program.labels) if depends_on_past(plan.define[label])}
    if labels or not _begins_with_loop(plan.pattern) or any(_comes_again(program, s) for s in asking):
        return "THREADS"
    return "RUNS" if _one_way_to_each_state(plan, program) else "THREADS"


def _begins_with_loop(pattern: Pattern) -> bool:
    """Whether all attempts that are open at once begin in the same run: A+ B, A{3,} B and the like."""
    while isinstance(pattern, Concat):
        pattern = pattern.parts[0]
    return isinstance(pattern, Repeat) and pattern.high is None and pattern.low > 0 and isinstance(pattern.part, Var)


def _comes_again(program: Program, state: int) -> bool:
    """Whether a state can follow itself: its condition would ask for the past again and again."""
    seen: set[int] = set()
    todo = list(program.next[state])
    while todo:
        found = todo.pop()
        if found == state:
            return True
        if found >= 0 and found not in seen:
            seen.add(found)
            todo.extend(program.next[found])
    return False


def disjoint(a: Expr, b: Expr) -> bool:
    """Whether no row can meet both conditions, as far as constants tell."""
    left, right = constants(a), constants(b)
    return any(not set(values) & set(right[attr]) for attr, values in left.items() if attr in right)


def _one_way_to_each_state(plan: MatchPlan, program: Program) -> bool:
    """Whether a state is never reached in two ways at once: then the rows that led to it are known."""
    names = sorted(set(program.labels))
    if len(names) > 8:
        return False
    apart = {(a, b) for a in names for b in names if a < b and disjoint(plan.define[a], plan.define[b])}
    seen = {program.start}
    todo = [program.start]
    while todo:
        states = todo.pop()
        present = sorted({program.labels[s] for s in states})
        for bits in range(1, 1 << len(present)):
            fitting = {v for n, v in enumerate(present) if bits >> n & 1}
            if any(a in fitting and b in fitting for a, b in apart):
                continue
            after: list[int] = []
            for state in states:
                if program.labels[state] in fitting:
                    following = program.next[state]
                    after.extend(s for s in following if s != DONE)
                    if DONE in following:
                        break
            if len(set(after)) < len(after):
                return False
            following_states = tuple(after)
            if following_states and following_states not in seen:
                if len(seen) > _MAX_LISTS:
                    return False
                seen.add(following_states)
                todo.append(following_states)
    return True
