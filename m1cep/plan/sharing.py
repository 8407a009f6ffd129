"""Which patterns can follow attempts in groups instead of one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.plan.slots import depends_on_past, reach

if TYPE_CHECKING:
    from m1cep.plan.ir import MatchPlan
    from m1cep.plan.program import Program


def may_group(plan: MatchPlan, program: Program) -> bool:
    """Whether what an attempt can still do depends on its list of states alone."""
    if program.waits or program.has_anchors or program.may_be_empty or plan.rows == "ALL ROWS WITH UNMATCHED":
        return False
    exprs = [*plan.define.values(), *(o.expr for o in plan.select), plan.having]
    return reach(exprs)[1] == 0 and not any(depends_on_past(c) for c in plan.define.values())
