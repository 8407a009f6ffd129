"""How far the rows of a sliding rule can be from its condition, told without looking at any of its windows, to Python.

    counted(rows)    the rows that the rule puts into windows
    KEY              the attributes of its key
    enough(n)        False where no key that has ``n`` rows in the widest frame, or fewer, fulfils the condition

A condition asks for a number of rows where one of its parts is ``count >= bound``. The bound is the same for every row, or it is
``factor * count`` of another window for which there is such a bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.plan.ir import TRUE, WINDOW_COLUMN, Call, Col, conjuncts, walk

if TYPE_CHECKING:
    from m1cep.codegen.expr import ExprWriter
    from m1cep.codegen.module import Source
    from m1cep.plan.ir import Expr
    from m1cep.plan.plans import OverPlan

_DEAR = frozenset({"DOUBLE", "DECIMAL"})  # types whose values take long to hash


def write_counting(out: Source, plan: OverPlan, writer: ExprWriter) -> None:
    """Add the three to ``out``, of a rule whose condition asks for a number of rows; of another nothing."""
    asked = [(part, found) for part in conjuncts(plan.having) if (found := _asked(part, plan)) is not None]
    least = {i: bound for _, (i, bound) in asked if not _columns(bound) and not bound.nullable}
    if not (plan.key and any(not _columns(bound) for _, (_, bound) in asked)):
        return
    columns = sorted(plan.key, key=lambda column: column.type.kind in _DEAR)
    out.add(f"KEY = {tuple(column.attr for column in columns)!r}  # those that cost least to count first")
    out.add()
    out.add("def counted(rows):")
    some = "" if plan.where is TRUE else f" if {writer.truth(plan.where)}"
    out.add(f"return [r for i, r in rows{some}]", indent=1, pos=plan.where.pos)
    out.add()
    out.add("def enough(n):")
    for part, (i, bound) in asked:
        test = f"not {writer.truth(part)}"
        if _columns(bound):
            scaled = _scaled(bound, plan)
            if scaled is None or scaled[1] not in least:
                continue
            factor, other = scaled
            out.add(f"w{other} = max(0, {writer.value(least[other])})  # at least", indent=1)
            test = f"{writer.value(factor)} >= 0 and {test}"
        out.add(f"w{i} = n  # at most", indent=1)
        out.add(f"if {test}:", indent=1, pos=part.pos)
        out.add("return False", indent=2)
    out.add("return True", indent=1)
    out.add()


def _asked(part: Expr, plan: OverPlan) -> tuple[int, Expr] | None:
    """The window that counts rows and what their number is to reach, where that is what a condition is about."""
    if not isinstance(part, Call) or part.op not in {"GE", "GT", "LE", "LT"}:
        return None
    count, bound = part.args if part.op in {"GE", "GT"} else reversed(part.args)
    i = _count(count, plan)
    return None if i is None else (i, bound)


def _scaled(bound: Expr, plan: OverPlan) -> tuple[Expr, int] | None:
    """The factor, the same for every row, and the window that counts rows, where an expression is their product."""
    if isinstance(bound, Call) and bound.op == "MUL":
        for factor, count in (bound.args, reversed(bound.args)):
            i = _count(count, plan)
            if i is not None and not _columns(factor) and not factor.nullable:
                return factor, i
    return None


def _count(expr: Expr, plan: OverPlan) -> int | None:
    """Number of the window, where an expression is the count of one."""
    if not isinstance(expr, Col) or not expr.name.startswith(WINDOW_COLUMN):
        return None
    i = int(expr.name.removeprefix(WINDOW_COLUMN))
    return i if plan.windows[i].agg.func == "COUNT" else None


def _columns(expr: Expr) -> bool:
    """Whether an expression depends on the row or on a window."""
    return any(isinstance(e, Col) for e in walk(expr))
