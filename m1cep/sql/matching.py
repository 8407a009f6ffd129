"""MATCH_RECOGNIZE: its clauses checked and put into a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.errors import RuleError
from m1cep.model.time import in_unit
from m1cep.plan.ir import TRUE, Col, Expr, Literal, MatchPlan, Output, Param
from m1cep.plan.pattern import (
    DONE,
    Absent,
    Alt,
    Anchor,
    Concat,
    Empty,
    Exclude,
    Pattern,
    Permute,
    Repeat,
    TooManyStatesError,
    Var,
    compile_program,
    variables,
)
from m1cep.sql.dialect import position
from m1cep.sql.rowpattern import parse_pattern
from m1cep.sql.scope import DefineScope, MeasureScope, RowScope, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from m1cep.sql.dialect import RowMatch
    from m1cep.sql.expressions import ExpressionChecker
    from m1cep.sql.statement import Source

    Finish = Callable[[Expr, tuple[Output, ...]], MatchPlan]

_LATER: dict[type, str] = {
    Permute: "PERMUTE",
    Exclude: "{- exclusion -}",
    Anchor: "^ and $",
    Absent: "ABSENT",
    Empty: "()",
}


def match_plan(
    checker: ExpressionChecker, node: RowMatch, source: Source
) -> tuple[Finish, dict[str, tuple[str, Expr]]]:
    """A plan that waits for the outer WHERE and SELECT, and the columns they may name.

    Raises:
        RuleError: a clause is wrong or not supported.
    """
    _refuse_later(checker, node)
    stream = source.stream
    key = tuple(_key_column(checker, e, source) for e in node.args.get("partition_by") or [])
    _check_order(checker, node, source)
    pattern_node = node.args["pattern"]
    pattern = parse_pattern(checker.source, pattern_node.this, pattern_node.meta["start"])
    _refuse_parts(checker, pattern)
    names = {v.name.lower(): v.name for v in variables(pattern)}
    pattern = _respell(pattern, names)
    _check_program(checker, pattern, pattern_node.meta["start"])
    define = dict.fromkeys(names.values(), TRUE) | _define(checker, node, source, names)
    scope = MeasureScope(checker.source, "MEASURES", stream, names, key)
    outputs: dict[str, tuple[str, Expr]] = {k.name.lower(): (k.name, k) for k in key}
    for measure in node.args.get("measures") or []:
        item = measure.this
        if not isinstance(item, exp.Alias):
            raise checker.refuse("expected AS name after a measure", measure)
        if item.alias.lower() in outputs:
            raise checker.refuse(f"two measures or partition columns are named {item.alias!r}", item)
        outputs[item.alias.lower()] = (item.alias, checker.check(item.this, scope))
    within = _within(checker, node, source)

    def finish(having: Expr, select: tuple[Output, ...]) -> MatchPlan:
        return MatchPlan(stream.name, key, source.where, pattern, within, define, having, select)

    return finish, outputs


def _refuse_later(checker: ExpressionChecker, node: RowMatch) -> None:
    hint = "it is part of the language and not built yet"
    if node.args.get("rows") not in (None, "ONE ROW"):
        raise checker.refuse("ALL ROWS PER MATCH is not supported yet", node, hint)
    if node.args.get("after") not in (None, "PAST LAST ROW"):
        raise checker.refuse(f"AFTER MATCH SKIP {node.args['after']} is not supported yet", node, hint)
    if node.args.get("subsets"):
        raise checker.refuse("SUBSET is not supported yet", node.args["subsets"][0], hint)


def _refuse_parts(checker: ExpressionChecker, pattern: Pattern) -> None:
    for kind, name in _LATER.items():
        if isinstance(pattern, kind):
            pos = getattr(pattern, "pos", 0)
            raise RuleError(
                f"{name} in PATTERN is not supported yet",
                checker.source,
                pos,
                hint="it is part of the language and not built yet",
            )
    parts = getattr(pattern, "parts", ()) or ((pattern.part,) if isinstance(pattern, Repeat) else ())
    for part in parts:
        _refuse_parts(checker, part)


def _respell(pattern: Pattern, names: Mapping[str, str]) -> Pattern:
    """Every variable in the spelling of its first occurrence: SQL's unquoted names ignore case."""
    match pattern:
        case Var(name=name):
            return replace(pattern, name=names[name.lower()])
        case Concat(parts=parts) | Alt(parts=parts):
            return replace(pattern, parts=tuple(_respell(p, names) for p in parts))
        case Repeat(part=part):
            return replace(pattern, part=_respell(part, names))
    return pattern


def _check_program(checker: ExpressionChecker, pattern: Pattern, pos: int) -> None:
    try:
        program = compile_program(pattern)
    except TooManyStatesError:
        raise RuleError(
            "the pattern's counts are too large together", checker.source, pos, hint="use {n,} or a condition on COUNT"
        ) from None
    if DONE in program.start:
        raise RuleError(
            "a pattern that matches no row at all is not supported yet",
            checker.source,
            pos,
            hint="make one part obligatory: A+ instead of A*",
        )


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


def _define(checker: ExpressionChecker, node: RowMatch, source: Source, names: Mapping[str, str]) -> dict[str, Expr]:
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
        scope = DefineScope(checker.source, f"DEFINE of {name}", source.stream, names, name)
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
