"""MATCH_RECOGNIZE: its clauses checked and put into a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.errors import RuleError, nearest
from m1cep.model.time import in_unit
from m1cep.plan.ir import TRUE, Call, Col, Expr, Literal, Param
from m1cep.plan.pattern import Absent, Alt, Concat, Exclude, Pattern, Permute, Repeat, Var, variables
from m1cep.plan.plans import MatchPlan, Output
from m1cep.plan.program import DONE, Program, TooManyStatesError, compile_program
from m1cep.sql.nodes import position
from m1cep.sql.rowpattern import parse_pattern
from m1cep.sql.scope import DefineScope, MeasureScope, RowScope, known_variable, stream_column

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from m1cep.sql.expressions import ExpressionChecker
    from m1cep.sql.nodes import RowMatch
    from m1cep.sql.statement import Source

    Finish = Callable[[Expr, tuple[Output, ...]], MatchPlan]

MAX_PERMUTED = 6


def match_plan(
    checker: ExpressionChecker, node: RowMatch, source: Source
) -> tuple[Finish, dict[str, tuple[str, Expr]]]:
    """A plan that waits for the outer WHERE and SELECT, and the columns they may name.

    Raises:
        RuleError: a clause is wrong or not supported.
    """
    stream = source.stream
    key = tuple(_key_column(checker, e, source) for e in node.args.get("partition_by") or [])
    _check_order(checker, node, source)
    pattern_node = node.args["pattern"]
    start = pattern_node.meta["start"]
    pattern = parse_pattern(checker.source, pattern_node.this, start)
    _check_permutes(checker, pattern)
    names = {v.name.lower(): v.name for v in variables(pattern)}
    pattern = _respell(pattern, names)
    program = _program(checker, pattern, start)
    subsets = _subsets(checker, node, names)
    speakable = names | {s.lower(): s for s in subsets}
    define = dict.fromkeys(names.values(), TRUE) | _define(checker, node, source, names, speakable)
    rows = node.args.get("rows") or "ONE ROW"
    plan = MatchPlan(
        source=stream.name,
        key=key,
        where=source.where,
        pattern=pattern,
        within=_within(checker, node, source),
        define=define,
        subsets=subsets,
        rows=rows,
        skip=node.args.get("after") or "PAST LAST ROW",
    )
    plan = _skip(checker, node, plan, program, speakable)
    _check_absence(checker, plan, program, start)
    if rows == "ALL ROWS WITH UNMATCHED" and program.excluded:
        raise checker.refuse("WITH UNMATCHED ROWS and {- exclusion -} do not go together in SQL", node)
    outputs = _outputs(checker, node, plan, MeasureScope(checker.source, "MEASURES", stream, speakable, key), source)

    def finish(having: Expr, select: tuple[Output, ...]) -> MatchPlan:
        return replace(plan, having=having, select=select)

    return finish, outputs


def _outputs(
    checker: ExpressionChecker, node: RowMatch, plan: MatchPlan, scope: MeasureScope, source: Source
) -> dict[str, tuple[str, Expr]]:
    """What SELECT may name: the partition's columns and the measures, and with ALL ROWS every column of the row."""
    outputs: dict[str, tuple[str, Expr]] = {k.name.lower(): (k.name, k) for k in plan.key}
    if plan.all_rows:
        for column in source.stream.columns:
            outputs[column.name.lower()] = (
                column.name,
                stream_column(source.stream, column.name, 0, checker.source),
            )
    for item in node.args.get("measures") or []:
        if not isinstance(item, exp.Alias):
            raise checker.refuse("expected AS name after a measure", item)
        if item.alias.lower() in outputs:
            what = "column of the row" if plan.all_rows else "partition column"
            raise checker.refuse(f"two measures, or a measure and a {what}, are named {item.alias!r}", item)
        measure = checker.check(item.this, scope)
        if plan.rows == "ALL ROWS WITH UNMATCHED":
            measure = Call("MEASURE", (measure,), measure.type, nullable=True, pos=measure.pos)
        outputs[item.alias.lower()] = (item.alias, measure)
    return outputs


def _subsets(checker: ExpressionChecker, node: RowMatch, names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for item in node.args.get("subsets") or []:
        name = item.alias
        if name.lower() in names or name.lower() in {f.lower() for f in found}:
            raise checker.refuse(f"SUBSET names {name!r}, which is another variable already", item.args["alias"])
        members = []
        for part in item.this.expressions:
            spelt = names.get(part.name.lower())
            if spelt is None:
                raise checker.refuse(
                    f"SUBSET {name} names {part.name!r}, which is not a variable of the PATTERN",
                    part,
                    nearest(part.name, names.values()),
                )
            members.append(spelt)
        found[name] = tuple(members)
    return found


def _skip(
    checker: ExpressionChecker, node: RowMatch, plan: MatchPlan, program: Program, names: Mapping[str, str]
) -> MatchPlan:
    """AFTER MATCH SKIP; refused where it could never go on (SQL makes that a run-time error)."""
    target = node.args.get("after_variable")
    if target is None:
        return plan
    scope = RowScope(checker.source, "AFTER MATCH SKIP", None)  # type: ignore[arg-type]  # only its place is asked for
    variable = known_variable(target.name, names, position(target), scope)
    members = plan.members(variable)
    starts = all(program.labels[s] in members for s in program.start if s >= 0)
    later = any(program.labels[s] in members for after in program.next for s in after if s >= 0)
    if starts and (plan.skip == "TO FIRST" or not later):
        raise checker.refuse(
            f"AFTER MATCH SKIP {plan.skip} {variable} would go back to the match's first row, and find it for ever",
            target,
            "skip to a variable that stands later in the pattern, TO NEXT ROW or PAST LAST ROW",
        )
    return replace(plan, skip_to=variable)


def _check_absence(checker: ExpressionChecker, plan: MatchPlan, program: Program, start: int) -> None:
    if not program.waits:
        return
    problem = ""
    if any(program.next[s] != (DONE,) for s in program.waits):
        problem = "ABSENT stands at the end of a pattern"
    elif program.waits.intersection(program.start):
        problem = "ABSENT needs a row before it: the time runs from the match's first row"
    elif plan.within is None:
        problem = "ABSENT needs WITHIN: when is the time up?"
    elif plan.all_rows or plan.skip != "PAST LAST ROW":
        problem = "ABSENT goes with ONE ROW PER MATCH and AFTER MATCH SKIP PAST LAST ROW"
    if problem:
        at = checker.source.text.upper().find("ABSENT", start)
        raise RuleError(
            problem, checker.source, at, length=6, hint="PATTERN (A B ABSENT(C)) WITHIN INTERVAL '30' SECOND"
        )


def _check_permutes(checker: ExpressionChecker, pattern: Pattern) -> None:
    if isinstance(pattern, Permute) and len(pattern.parts) > MAX_PERMUTED:
        raise RuleError(
            f"expected at most {MAX_PERMUTED} parts in PERMUTE, got {len(pattern.parts)}", checker.source, pattern.pos
        )
    for part in getattr(pattern, "parts", ()) or ((pattern.part,) if isinstance(pattern, Repeat | Exclude) else ()):
        _check_permutes(checker, part)


def _respell(pattern: Pattern, names: Mapping[str, str]) -> Pattern:
    """Every variable in the spelling of its first occurrence: SQL's unquoted names ignore case."""
    match pattern:
        case Var(name=name) | Absent(name=name):
            return replace(pattern, name=names[name.lower()])
        case Concat(parts=parts) | Alt(parts=parts) | Permute(parts=parts):
            return replace(pattern, parts=tuple(_respell(p, names) for p in parts))
        case Repeat(part=part) | Exclude(part=part):
            return replace(pattern, part=_respell(part, names))
    return pattern


def _program(checker: ExpressionChecker, pattern: Pattern, pos: int) -> Program:
    try:
        return compile_program(pattern)
    except TooManyStatesError:
        raise RuleError(
            "the pattern's counts are too large together", checker.source, pos, hint="use {n,} or a condition on COUNT"
        ) from None


def _key_column(checker: ExpressionChecker, node: exp.Expr, source: Source) -> Col:
    if not isinstance(node, exp.Column):
        raise checker.refuse("PARTITION BY expects columns", node)
    found = RowScope(checker.source, "PARTITION BY", source.stream, source.aliases).column(
        node.table or None, node.name, position(node)
    )
    assert isinstance(found, Col)
    if not found.type.is_scalar:
        raise checker.refuse(f"PARTITION BY expects values, got {found.type}", node)
    return found


def _check_order(checker: ExpressionChecker, node: RowMatch, source: Source) -> None:
    order = node.args.get("order")
    items = order.expressions if order is not None else []
    time_column = source.stream.time_column
    column = items[0].this if items else None
    if not isinstance(column, exp.Column) or column.name.lower() != time_column.lower() or items[0].args.get("desc"):
        raise checker.refuse(
            "MATCH_RECOGNIZE must be ordered by event time, ascending", order or node, f"ORDER BY {time_column}"
        )
    if len(items) > 1:
        raise checker.refuse("expected event time alone in ORDER BY: ties keep the order of arrival", items[1])


def _define(
    checker: ExpressionChecker,
    node: RowMatch,
    source: Source,
    names: Mapping[str, str],
    speakable: Mapping[str, str],
) -> dict[str, Expr]:
    found: dict[str, Expr] = {}
    for item in node.args.get("define") or []:
        name = names.get(item.alias.lower())
        if name is None:
            raise checker.refuse(
                f"DEFINE names {item.alias!r}, which is not a variable of the PATTERN",
                item.args["alias"],
                nearest(item.alias, names.values()),
            )
        if name in found:
            raise checker.refuse(f"variable {name!r} is defined twice", item.args["alias"])
        scope = DefineScope(checker.source, f"DEFINE of {name}", source.stream, speakable, name)
        found[name] = checker.condition(item.this, scope)
    return found


def _within(checker: ExpressionChecker, node: RowMatch, source: Source) -> int | None:
    within = node.args.get("within")
    if within is None:
        return None
    scope = RowScope(checker.source, "WITHIN", source.stream)
    value = checker.fix(checker.check(within, scope))
    if not isinstance(value, Literal | Param) or value.type.kind != "INTERVAL" or value.value <= 0:
        raise checker.refuse("WITHIN expects a positive INTERVAL", within, "WITHIN INTERVAL '5' SECOND")
    return in_unit(value.value, source.stream.time_unit)
