"""A rule's plan in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.plan.ir import FilterPlan, MatchPlan, OverPlan
from m1cep.plan.program import AT_END, DONE, compile_program

if TYPE_CHECKING:
    from m1cep import Rule


def plan_lines(rule: Rule) -> list[str]:
    """What the rule does, step by step."""
    plan = rule.plan
    lines = [f"reads {plan.source}" + (f" = {' + '.join(rule.streams)}, by event time" if rule.source.is_view else "")]
    lines.append(f"key   {', '.join(k.name for k in plan.key) or '(none: all rows together)'}")
    unit = rule.source.time_unit
    match plan:
        case FilterPlan():
            lines.append("each row by itself")
        case OverPlan():
            lines += [
                f"keeps {w.agg.func} over the last {w.frame.range} {unit}, both ends included" for w in plan.windows
            ]
        case MatchPlan():
            lines.append(
                f"within {plan.within} {unit} from the first row to the last, exclusive"
                if plan.within
                else f"no bound in time: at most {rule.matter.max_open} open attempts a key"
            )
            lines += _program_lines(plan)
    lines.append(f"gives {', '.join(o.name for o in plan.select)}")
    return lines


def _program_lines(plan: MatchPlan) -> list[str]:
    program = compile_program(plan.pattern)
    ends = {DONE: "end", AT_END: "end if no row follows"}

    def names(states: tuple[int, ...]) -> str:
        return ", else ".join(ends.get(s) or f"{s} {program.labels[s]}" for s in states)

    lines = [f"begins with {names(program.start)}"]
    lines += [f"  {s} {label:<12} then {names(program.next[s])}" for s, label in enumerate(program.labels[:200])]
    return lines
