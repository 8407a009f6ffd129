"""The tree of a rule to one that means the same in Flink SQL.

What differs there: parameters do not exist; times are numbers here (see ``tables``) and so are intervals, but where Flink
orders or bounds rows by event time; names are case-sensitive; AVG of integers is an integer; division by zero ends the job or
gives an infinity; FILTER is not known in MATCH_RECOGNIZE and OVER.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.model.time import in_unit, parse_time
from m1cep.model.types import US_PER_UNIT, SqlType
from m1cep.sql.flink.names import Names, Typer
from m1cep.sql.flink.tables import flink_type, interval_ms, literal
from m1cep.sql.flink.windows import epoch_ms
from m1cep.sql.literals import interval, sql_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.sql.flink.report import Report

#: What means the same in both, once its parts do.
_SAME = frozenset(
    {
        *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.And, exp.Or, exp.Not, exp.Neg, exp.Paren, exp.Mul),
        *(exp.Literal, exp.Boolean, exp.Null, exp.Is, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Between, exp.In, exp.Like),
        *(
            exp.Escape,
            exp.Coalesce,
            exp.Nullif,
            exp.Greatest,
            exp.Least,
            exp.DPipe,
            exp.Concat,
            exp.Substring,
            exp.Round,
        ),
        *(
            exp.Upper,
            exp.Lower,
            exp.Trim,
            exp.Length,
            exp.Abs,
            exp.Ceil,
            exp.Floor,
            exp.Exp,
            exp.Pow,
            exp.Case,
            exp.Star,
        ),
        *(
            exp.Sum,
            exp.Min,
            exp.Max,
            exp.First,
            exp.Last,
            exp.Alias,
            exp.Identifier,
            exp.Where,
            exp.Having,
            exp.Qualify,
        ),
        *(exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop, exp.Tuple, exp.Group, exp.Var),
        *(exp.Sign, exp.Lag, exp.DataType),
    }
)
_PARTS = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND", "DOW", "EPOCH")
_NO_DISTINCT = "aggregates over a variable's rows with DISTINCT are not supported by Flink"
_AT_RUN_TIME = "it is read from the cache while the rule runs; in Flink it would be a lookup join with a table of yours"


class Rewriter:
    """Rewrites the expressions of one rule.

    Attributes:
        time: the name of the computed event-time column.
        in_match: inside MATCH_RECOGNIZE, where Flink knows less.
    """

    def __init__(self, report: Report, params: Mapping[str, tuple[object, SqlType]], time: str) -> None:
        self.report = report
        self.params = params
        self.typer = Typer(report.source, params)
        self.time = time
        self.in_match = False

    def rewrite(self, node: exp.Expr, names: Names) -> exp.Expr:
        """The expression for Flink; what it cannot do goes to the report."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is not None:
            result: exp.Expr = method(node, names)
            return result
        if type(node) not in _SAME:
            self.report.cannot(f"not translated: {node.sql(dialect='trino')[:40]}", node)
            return node
        return self.children(node, names)

    def children(self, node: exp.Expr, names: Names) -> exp.Expr:
        """The node with its parts rewritten."""
        new = node.copy()
        for key, value in node.args.items():
            if isinstance(value, exp.Expr):
                new.set(key, self.rewrite(value, names))
            elif isinstance(value, list):
                new.set(key, [self.rewrite(v, names) if isinstance(v, exp.Expr) else v for v in value])
        return new

    def fixed_interval(self, node: exp.Expr) -> exp.Expr:
        """A constant interval where Flink wants one: WITHIN, frames, windows, bounds of a join."""
        micros = self.micros(node)
        if micros % 1000:
            self.report.differs("rounded up to milliseconds", node, "Flink's event time has no finer unit")
        try:
            return exp.Var(this=interval_ms(in_unit(micros, "ms")))
        except ValueError as error:
            self.report.cannot(str(error), node)
            return node

    def micros(self, node: exp.Expr) -> int:
        """Microseconds of a constant interval or of a parameter that is one."""
        if isinstance(node, exp.Interval):
            return interval(node, self.report.source)
        value = self.params[str(node.this)][0]
        assert isinstance(value, int), value
        return value

    def order(self, node: exp.Expr, names: Names) -> exp.Expr:
        """ORDER BY event time: by the computed column."""
        new = node.copy()
        for item in new.expressions:
            if names.is_time(item.this):
                item.set("this", self.time_of(item.this))
            item.set("nulls_first", True)  # Flink's default: leaves NULLS LAST out; event time has none
        return new

    def time_of(self, column: exp.Expr) -> exp.Expr:
        """The computed event time beside the column as it is in the JSON."""
        table = column.args.get("table")
        return exp.column(self.time, table=table.copy() if table is not None else None)

    # one method for each kind of node that needs more than its parts rewritten, named after sqlglot's class

    def _column(self, node: exp.Expr, names: Names) -> exp.Expr:
        if isinstance(node.this, exp.Star):
            return node.copy()
        if node.name.lower() in names.bounds:
            bound = exp.column(node.name.lower())
            unit = names.column(node)[1].time_unit
            return (
                epoch_ms(bound) if unit == "ms" else exp.Mul(this=epoch_ms(bound), expression=exp.Literal.number(1000))
            )
        table = node.args.get("table")
        spelt = names.variables.get(table.name.lower(), table.name) if table is not None else None
        return exp.column(names.column(node)[0], table=spelt)

    def _placeholder(self, node: exp.Expr, _names: Names) -> exp.Expr:
        value, type_ = self.params[str(node.this)]
        return exp.Var(this=literal(value, type_))

    def _interval(self, node: exp.Expr, _names: Names) -> exp.Expr:
        return exp.Literal.number(interval(node, self.report.source))

    def _add(self, node: exp.Expr, names: Names) -> exp.Expr:
        """Times and intervals are numbers; those of times in milliseconds are brought to that unit."""
        new = self.children(node, names)
        a, b = self.typer.of(node.this, names), self.typer.of(node.expression, names)
        kinds = (a.kind, b.kind)
        if kinds == ("TIMESTAMP", "TIMESTAMP"):  # an INTERVAL: microseconds
            self._check_units(a, b, node)
            per_unit = US_PER_UNIT[a.time_unit]
            return new if per_unit == 1 else exp.Mul(this=exp.Paren(this=new), expression=exp.Literal.number(per_unit))
        if "TIMESTAMP" in kinds and "INTERVAL" in kinds:
            side, time = ("expression", a) if b.kind == "INTERVAL" else ("this", b)
            new.set(side, self._in_unit(node.args[side], new.args[side], time.time_unit))
        return new

    _sub = _add

    def _in_unit(self, before: exp.Expr, after: exp.Expr, unit: str) -> exp.Expr:
        """Microseconds in the unit of a time."""
        if unit == "us":
            return after
        if isinstance(before, exp.Interval | exp.Placeholder):
            return exp.Literal.number(in_unit(self.micros(before), unit))
        return exp.Div(this=exp.Paren(this=after), expression=exp.Literal.number(1000))

    def _check_units(self, a: SqlType, b: SqlType, node: exp.Expr) -> None:
        if a.kind == b.kind == "TIMESTAMP" and a.time_unit != b.time_unit:
            self.report.cannot("times in milliseconds next to times in microseconds are not translated", node)

    def _div(self, node: exp.Expr, names: Names) -> exp.Expr:
        """Division by zero is NULL here."""
        new = self.children(node, names)
        divisor = node.expression
        if not (isinstance(divisor, exp.Literal) and float(divisor.this)):
            new.set("expression", exp.Nullif(this=new.expression, expression=exp.Literal.number(0)))
        return new

    def _mod(self, node: exp.Expr, names: Names) -> exp.Expr:
        if self.typer.of(node, names).kind == "DOUBLE":
            self.report.cannot("% of DOUBLE", node, "Flink computes remainders of exact numbers; CAST to DECIMAL")
        return self._div(node, names)

    def _ln(self, node: exp.Expr, names: Names) -> exp.Expr:
        """NULL outside the domain, where Flink gives NaN."""
        new = self.children(node, names)
        inside = exp.GT if isinstance(node, exp.Ln) else exp.GTE
        return exp.Case().when(inside(this=new.this.copy(), expression=exp.Literal.number(0)), new)

    _sqrt = _ln

    def _avg(self, node: exp.Expr, names: Names) -> exp.Expr:
        """AVG of integers is DOUBLE here, and an integer in Flink."""
        new = self.children(node, names)
        if self.typer.of(node.this, names).is_integer:
            new.set("this", exp.Cast(this=new.this, to=exp.DataType.build("DOUBLE")))
        return new

    def _count(self, node: exp.Expr, names: Names) -> exp.Expr:
        """COUNT(A.*) is not known there: event time is never NULL, so it counts as well."""
        argument = node.this
        if isinstance(argument, exp.Column) and isinstance(argument.this, exp.Star):
            table = names.variables.get(argument.table.lower(), argument.table)
            return exp.Count(this=exp.column(names.row_time, table=table))
        return self.children(node, names)

    def _filter(self, node: exp.Expr, names: Names) -> exp.Expr:
        """AGG(x) FILTER (WHERE c) is AGG(CASE WHEN c THEN x END)."""
        call, condition = node.this, self.rewrite(node.expression.this, names)
        new = self.rewrite(call, names)
        argument = new.this
        if argument is None or isinstance(argument, exp.Star):
            argument = exp.Literal.number(1)
        if isinstance(argument, exp.Distinct):
            inner = argument.expressions[0]
            argument.set("expressions", [exp.Case().when(condition, inner)])
        else:
            new.set("this", exp.Case().when(condition, argument))
        return new

    def _distinct(self, node: exp.Expr, names: Names) -> exp.Expr:
        if self.in_match:
            self.report.cannot("DISTINCT", node, _NO_DISTINCT)
        return self.children(node, names)

    def _if(self, node: exp.Expr, names: Names) -> exp.Expr:
        new = self.children(node, names)
        if isinstance(node.parent, exp.Case):
            return new
        return exp.Case(ifs=[exp.If(this=new.this, true=new.args["true"])], default=new.args.get("false"))

    def _semantics(self, node: exp.Expr, names: Names) -> exp.Expr:
        """RUNNING and FINAL mean the same in MEASURES of one row per match; in DEFINE there is only RUNNING."""
        return self.rewrite(node.this, names)

    def _extract(self, node: exp.Expr, names: Names) -> exp.Expr:
        """A field of a time: of the number made a time; the job's time zone is UTC."""
        digits = 6 if self.typer.of(node.expression, names).time_unit == "us" else 3
        part = {"DAYOFWEEK": "DOW"}.get(node.name.upper(), node.name.upper())
        if part not in _PARTS:
            self.report.cannot(f"EXTRACT({part} ...) is not translated", node, f"there are: {', '.join(_PARTS)}")
        time = exp.func("TO_TIMESTAMP_LTZ", self.rewrite(node.expression, names), exp.Literal.number(digits))
        return exp.Extract(this=exp.var(part), expression=time)

    def _floor(self, node: exp.Expr, names: Names) -> exp.Expr:
        """Of numbers: FLOOR(time TO unit) is not."""
        if self.typer.of(node.this, names).kind == "TIMESTAMP":
            self.report.cannot(f"{node.key.upper()} of a time is not translated", node)
        return self.children(node, names)

    _ceil = _floor

    def _trim(self, node: exp.Expr, names: Names) -> exp.Expr:
        if any(value for key, value in node.args.items() if key != "this"):
            self.report.cannot("TRIM of other characters than blanks is not translated", node)
        return self.children(node, names)

    def _cast(self, node: exp.Expr, names: Names) -> exp.Expr:
        """CAST of a value without counterpart is NULL here, and ends the job in Flink."""
        to, of = sql_type(node.args["to"], self.report.source), self.typer.of(node.this, names)
        if to.kind == "TIMESTAMP" and isinstance(node.this, exp.Literal) and node.this.is_string:
            return exp.Literal.number(parse_time(node.this.name, to.time_unit))
        if "TIMESTAMP" in (to.kind, of.kind) and not isinstance(node.this, exp.Null):
            self.report.cannot("CAST of a time is not translated", node)
        if (of.kind, to.kind) in {("DOUBLE", "STRING"), ("DECIMAL", "STRING")}:
            self.report.differs(f"CAST({of.kind} AS STRING) writes some numbers in another way", node)
        word = "CAST" if isinstance(node.this, exp.Null) else "TRY_CAST"
        inner = self.rewrite(node.this, names)
        return exp.Anonymous(this=word, expressions=[exp.Alias(this=inner, alias=exp.Var(this=flink_type(to)))])

    _trycast = _cast

    def _anonymous(self, node: exp.Expr, names: Names) -> exp.Expr:
        name = str(node.this).upper()
        why = {
            "IN_LIST": _AT_RUN_TIME,
            "PARAM": _AT_RUN_TIME,
            "CLASSIFIER": "Flink does not tell which variable a row was mapped to; a constant measure may do",
            "MATCH_NUMBER": "Flink does not number matches",
            "NEXT": "Flink sees no rows beyond the one at hand",
            "PREV": "Flink sees only the rows of the match: LAST(x, 1) is the row before in the match",
        }.get(name)
        if name == "PREV" and names.own and (rewritten := self._previous(node, names)) is not None:
            return rewritten
        self.report.cannot(name if why else f"function {name} is not translated", node, why or "")
        return node

    def _previous(self, node: exp.Expr, names: Names) -> exp.Expr | None:
        """PREV(x, n) of a row that surely has n rows of the match before it is LAST(x, n) over all of them."""
        offset = int(node.expressions[1].name) if len(node.expressions) > 1 else 1
        inner = node.expressions[0]
        columns = list(inner.find_all(exp.Column))
        variables = {names.variables.get(c.table.lower()) for c in columns if c.table}
        if inner.find(exp.First, exp.Last) or not columns or not variables <= {names.own}:
            return None
        if offset > names.before:
            return None
        plain = self.rewrite(inner, names)
        for column in [plain, *plain.find_all(exp.Column)]:
            column.set("table", None)
        return exp.Last(this=plain, expression=exp.Literal.number(offset))

    def _window(self, node: exp.Expr, names: Names) -> exp.Expr:
        """AGG OVER (...), and the definition of a named window."""
        new = node.copy()
        if not isinstance(node.this, exp.Identifier):
            new.set("this", self.rewrite(node.this, names))
        new.set("partition_by", [self.rewrite(e, names) for e in node.args.get("partition_by") or []])
        if node.args.get("order") is not None:
            new.set("order", self.order(node.args["order"], names))
        spec = node.args.get("spec")
        if spec is not None and isinstance(spec.args.get("start"), exp.Interval | exp.Placeholder):
            start = spec.args["start"]
            is_interval = self.typer.of(start, names).kind == "INTERVAL"
            new.args["spec"].set("start", self.fixed_interval(start) if is_interval else self.rewrite(start, names))
        return new
