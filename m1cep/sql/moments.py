"""Functions of times: their parts, rounding to a unit, differences. All in UTC; there is no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.errors import nearest
from m1cep.model.time import INTERVAL_US
from m1cep.model.types import BIGINT, STRING
from m1cep.plan.ir import Expr, Literal
from m1cep.sql.arguments import argument, call, only

if TYPE_CHECKING:
    from m1cep.sql.arguments import Check
    from m1cep.sql.expressions import ExpressionChecker
    from m1cep.sql.scope import Scope

_PART_FUNCTIONS: dict[type[exp.Expr], str] = {
    exp.Year: "YEAR",
    exp.Quarter: "QUARTER",
    exp.Month: "MONTH",
    exp.Week: "WEEK",
    exp.WeekOfYear: "WEEK",
    exp.Day: "DAY",
    exp.DayOfMonth: "DAY",
    exp.DayOfYear: "DOY",
    exp.DayOfWeek: "DOW",
    exp.Hour: "HOUR",
    exp.Minute: "MINUTE",
    exp.Second: "SECOND",
}
_TRUNCATED = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")
_PARTS = (*_TRUNCATED, "DOY", "DAYOFYEAR", "DOW", "DAYOFWEEK", "MILLISECOND", "EPOCH")


def truncated(checker: ExpressionChecker, node: exp.Expr, unit: str, scope: Scope, *, up: bool = False) -> Expr:
    """FLOOR(time TO unit), or CEIL: ``up``."""
    if unit.upper() not in _TRUNCATED:
        raise checker.refuse(
            f"expected a unit of time, got {unit}", node, nearest(unit.upper(), _TRUNCATED) or ", ".join(_TRUNCATED)
        )
    arg = argument(checker, node, "this", "TIMESTAMP", "FLOOR", scope)
    return call("TIME_CEIL" if up else "TIME_FLOOR", (Literal(unit.upper(), STRING), arg), arg.type, node, partial=True)


def _date_trunc(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    only(checker, node, "DATE_TRUNC", "this", "unit")
    return truncated(checker, node, node.args["unit"].name if node.args.get("unit") is not None else "", scope)


def _extract(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    part = _PART_FUNCTIONS.get(type(node)) or node.name.upper()
    if part not in _PARTS:
        raise checker.refuse(f"EXTRACT does not know {part}", node, nearest(part, _PARTS))
    name = "expression" if isinstance(node, exp.Extract) else "this"
    arg = argument(checker, node, name, "TIMESTAMP", "EXTRACT", scope)
    return call("EXTRACT", (Literal(part, STRING), arg), BIGINT, node, partial=True)


def _date_diff(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    unit = node.args["unit"].name if node.args.get("unit") is not None else ""
    return _difference(checker, node, unit, (node.expression, node.this), scope)


def timestampdiff(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    """TIMESTAMPDIFF(unit, a, b): whole units from a to b."""
    args = node.expressions
    if len(args) != 3:
        raise checker.refuse("TIMESTAMPDIFF expects a unit and two times", node, "TIMESTAMPDIFF(SECOND, a, b)")
    return _difference(checker, node, args[0].name, (args[1], args[2]), scope)


def _difference(
    checker: ExpressionChecker, node: exp.Expr, unit: str, times: tuple[exp.Expr, exp.Expr], scope: Scope
) -> Expr:
    micros = INTERVAL_US.get(unit.upper())
    if micros is None:
        raise checker.refuse(
            f"expected a unit of fixed length, got {unit or 'none'}", node, nearest(unit.upper(), INTERVAL_US)
        )
    begin, end = (checker.expect(checker.check(t, scope), "TIMESTAMP", t, "TIMESTAMPDIFF") for t in times)
    return call("TIME_DIFF", (Literal(micros, BIGINT), begin, end), BIGINT, node)


def _clock(checker: ExpressionChecker, node: exp.Expr, scope: Scope) -> Expr:
    raise checker.refuse(
        f"a rule has no clock: it must give the same alerts on every run (in {scope.place})",
        node,
        "use the event-time column, or ABSENT in a pattern for what does not happen in time",
    )


MOMENTS: dict[type[exp.Expr], Check] = {
    exp.Extract: _extract,
    exp.TimestampTrunc: _date_trunc,
    exp.DateTrunc: _date_trunc,
    exp.DateDiff: _date_diff,
    exp.CurrentTimestamp: _clock,
    exp.CurrentDate: _clock,
    exp.CurrentTime: _clock,
    **dict.fromkeys(_PART_FUNCTIONS, _extract),
}
