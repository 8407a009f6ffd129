"""A rule's plan in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.plan.ir import LAG
from m1cep.plan.join import JoinPlan
from m1cep.plan.plans import FilterPlan, MatchPlan, OverPlan, WindowPlan
from m1cep.plan.program import AT_END, DONE, compile_program
from m1cep.plan.sharing import way_to_follow

if TYPE_CHECKING:
    from m1cep import Rule
    from m1cep.plan.plans import Windowed


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
            lines += [_frame_line(w, unit) for w in plan.windows]
        case WindowPlan():
            lines.append(_window_line(plan, unit))
            lines.append("one result a group when its window has ended")
        case MatchPlan():
            lines.append(
                f"within {plan.within} {unit} from the first row to the last, exclusive"
                if plan.within
                else f"no bound in time: at most {rule.matter.max_open} open attempts a key"
            )
            lines += _program_lines(plan)
        case JoinPlan():
            lines += _join_lines(plan, unit)
    lines.append(f"gives {', '.join(o.name for o in plan.select)}")
    return lines


def _join_lines(plan: JoinPlan, unit: str) -> list[str]:
    a, b = plan.left.stream, plan.right.stream
    keys = " and ".join(f"{x.name} = {y.name}" for x, y in zip(plan.left.key, plan.right.key, strict=True))
    lines = [
        f"pairs a of {a} with b of {b}: {keys}, b from {plan.lower} to {plan.upper} {unit} after a, both included",
        f"keeps a for {max(plan.upper, 0)} {unit}, b for {max(-plan.lower, 0)} {unit}",
    ]
    if plan.absence:
        lines.append(f"tells an a without b {max(plan.upper + 1, 0)} {unit} after it, and no pair")
    elif plan.outer:
        lines.append(f"tells every pair, and an a without b {max(plan.upper + 1, 0)} {unit} after it")
    return lines


def _frame_line(w: Windowed, unit: str) -> str:
    if w.agg.func == LAG:
        return f"looks {w.frame.rows} rows back"
    func = f"{w.agg.func} of different values" if w.agg.distinct else w.agg.func
    if w.frame.rows is not None:
        return f"keeps {func} over the present row and {w.frame.rows} before it"
    return f"keeps {func} over the last {w.frame.range} {unit}, both ends included"


def _window_line(plan: WindowPlan, unit: str) -> str:
    shape = plan.shape
    at = f", offset {shape.offset} {unit}" if shape.offset else ""
    match shape.kind:
        case "TUMBLE":
            return f"windows of {shape.size} {unit}, one after the other{at}"
        case "HOP":
            return f"windows of {shape.size} {unit}, one every {shape.slide} {unit}{at}"
        case "CUMULATE":
            return f"windows that grow by {shape.slide} {unit} up to {shape.size} {unit}{at}"
    whose = ", ".join(c.name for c in shape.session_key) or "all rows together"
    return f"sessions of {whose}, over after {shape.size} {unit} without a row"


def _program_lines(plan: MatchPlan) -> list[str]:
    program = compile_program(plan.pattern)
    ends = {DONE: "end", AT_END: "end if no row follows"}
    way = {
        "GROUPS": "attempts in the same states are followed as one",
        "RUNS": "attempts over the same run of rows are followed as one, and told apart when a condition looks back",
        "THREADS": "each attempt is followed by itself",
    }[way_to_follow(plan, program)]

    def names(states: tuple[int, ...]) -> str:
        return ", else ".join(ends.get(s) or f"{s} {program.labels[s]}" for s in states)

    lines = [way, f"begins with {names(program.start)}"]
    lines += [f"  {s} {label:<12} then {names(program.next[s])}" for s, label in enumerate(program.labels[:200])]
    return lines
