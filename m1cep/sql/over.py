"""Aggregates OVER a sliding frame, with QUALIFY or in a subquery with an outer WHERE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.model.time import in_unit
from m1cep.plan.ir import LAG, TRUE, WINDOW_COLUMN, Agg, Col, Expr, Literal, Param, conjunction
from m1cep.plan.plans import Frame, OverPlan, Windowed
from m1cep.sql.aggregates import aggregate_call
from m1cep.sql.nodes import position
from m1cep.sql.scope import OutputScope, RowScope, stream_column

if TYPE_CHECKING:
    from m1cep.sql.expressions import ExpressionChecker
    from m1cep.sql.statement import Source, _Planner


MAX_ROWS = 1_000_000  # of a frame of ROWS, and as far as LAG looks back
_HINT = "RANGE BETWEEN INTERVAL '60' SECOND PRECEDING AND CURRENT ROW, or ROWS BETWEEN 100 PRECEDING AND CURRENT ROW"
_NOT_ON_STREAMS = {
    exp.RowNumber: "it would count for ever: COUNT(*) OVER (... RANGE BETWEEN INTERVAL ... PRECEDING AND CURRENT ROW)",
    exp.Lead: "it looks at rows still to come: LAG looks back; MATCH_RECOGNIZE has NEXT",
}


def has_window(select: exp.Select) -> bool:
    """Whether the SELECT list or QUALIFY has an OVER."""
    nodes = [*select.expressions, *([select.args["qualify"]] if select.args.get("qualify") is not None else [])]
    return any(node.find(exp.Window) is not None for node in nodes)


def over_plan(planner: _Planner, select: exp.Select, inner: exp.Select | None) -> OverPlan:
    """The plan of a SELECT with windows, whether they stand in it or in its subquery.

    Raises:
        RuleError: a window is not of a supported form.
    """
    checker = planner.checker
    windowed = inner if inner is not None and has_window(inner) else select
    planner._refuse_clauses(windowed)  # noqa: SLF001 - the planner of this very statement
    source = planner._source(windowed)  # noqa: SLF001
    collector = _Windows(checker, windowed, source)
    scope = _WindowScope(collector, planner.row_scope(source, "SELECT"))
    where = planner._where(windowed, planner.row_scope(source, "WHERE"))  # noqa: SLF001
    star: dict[str, tuple[str, Expr]] = {
        c.name.lower(): (c.name, stream_column(source.stream, c.name, 0, checker.source)) for c in source.stream.columns
    }
    select_list = scope.check_list(planner, windowed, star)
    named = {o.name.lower(): (o.name, o.expr) for o in select_list}
    qualify = windowed.args.get("qualify")
    having: list[Expr] = []
    if qualify is not None:
        outer = OutputScope(checker.source, "QUALIFY", star | named)
        having.append(scope.condition(qualify.this, outer))
    if windowed is inner:
        alias = select.args["from_"].this.alias
        outer = OutputScope(checker.source, "the outer SELECT", named, frozenset({alias.lower()} if alias else ()))
        outer_where = planner._where(select, outer)  # noqa: SLF001
        having += [] if outer_where is TRUE else [outer_where]
        select_list = planner.outputs(select, outer, named)
    if not collector.windows:
        raise checker.refuse("expected an aggregate OVER (...)", select)
    return OverPlan(
        source=source.stream.name,
        key=collector.key,
        where=conjunction([p for p in (source.where, where) if p is not TRUE]),
        windows=tuple(collector.windows),
        having=conjunction(having),
        select=select_list,
    )


class _Windows:
    """Collects the windows of one SELECT: same key for all, each aggregate and frame once."""

    def __init__(self, checker: ExpressionChecker, select: exp.Select, source: Source) -> None:
        self.checker = checker
        self.source = source
        self.named = {w.name.lower(): w for w in select.args.get("windows") or []}
        self.windows: list[Windowed] = []
        self.key: tuple[Col, ...] = ()
        self._key_seen = False

    def add(self, node: exp.Window) -> Col:
        """The column that stands for a window's value."""
        shape = self._shape(node)
        self._check_key(shape)
        self._check_order(shape)
        scope = RowScope(self.checker.source, "OVER", self.source.stream, self.source.aliases)
        if type(node.this) in _NOT_ON_STREAMS:
            raise self.checker.refuse(
                f"{node.this.sql_name()} OVER is not supported", node, _NOT_ON_STREAMS[type(node.this)]
            )
        windowed = (
            self._lag(node.this, shape, scope)
            if isinstance(node.this, exp.Lag)
            else Windowed(aggregate_call(self.checker, node.this, scope), self._frame(shape))
        )
        if windowed not in self.windows:
            self.windows.append(windowed)
        index = self.windows.index(windowed)
        agg = windowed.agg
        return Col(f"{WINDOW_COLUMN}{index}", f"w{index}", agg.type, agg.nullable, position(node))

    def _lag(self, call: exp.Lag, shape: exp.Expr, scope: RowScope) -> Windowed:
        """LAG(x [, n]): no aggregate, but a value that comes from the rows before in the same way."""
        if shape.args.get("spec") is not None:
            raise self.checker.refuse("LAG has no frame", shape, "LAG(x, 1) OVER (PARTITION BY ... ORDER BY ts)")
        if call.args.get("default") is not None:
            raise self.checker.refuse(
                "LAG expects a column and an offset", call, "COALESCE(LAG(x, 1) OVER ..., default)"
            )
        offset = call.args.get("offset")
        rows = 1 if offset is None else self._rows(offset, "the offset of LAG")
        expr = self.checker.check(call.this, scope)
        return Windowed(Agg(LAG, None, expr, expr.type, pos=position(call)), Frame(rows=rows))

    def _rows(self, node: exp.Expr, what: str) -> int:
        """A constant number of rows."""
        value = self.checker.fix(self.checker.check(node, RowScope(self.checker.source, what, self.source.stream)))
        if not isinstance(value, Literal | Param) or not value.type.is_integer or not 0 <= value.value <= MAX_ROWS:
            raise self.checker.refuse(f"{what} must be a whole number of at most {MAX_ROWS:,}", node)
        return int(value.value)

    def _shape(self, node: exp.Window) -> exp.Expr:
        """The window itself, or the one that it names in the WINDOW clause."""
        name = node.args.get("alias")
        if name is None:
            return node
        found = self.named.get(name.name.lower())
        if found is None:
            raise self.checker.refuse(f"there is no window {name.name!r}", node, "WINDOW w AS (PARTITION BY ...)")
        if any(window.args.get(a) for window, a in [(node, "spec"), (node, "order"), (found, "alias")]):
            raise self.checker.refuse("a window is named or written out, not both", node, "SUM(x) OVER w")
        return found

    def _check_key(self, shape: exp.Expr) -> None:
        key = []
        for part in shape.args.get("partition_by") or []:
            if not isinstance(part, exp.Column):
                raise self.checker.refuse("PARTITION BY expects columns", part)
            key.append(stream_column(self.source.stream, part.name, position(part), self.checker.source))
        if self._key_seen and [k.name for k in key] != [k.name for k in self.key]:
            raise self.checker.refuse("all windows of a rule must have the same PARTITION BY", shape)
        self.key, self._key_seen = tuple(key), True

    def _check_order(self, shape: exp.Expr) -> None:
        order = shape.args.get("order")
        time_column = self.source.stream.time_column
        item = order.expressions[0] if order is not None and len(order.expressions) == 1 else None
        if item is None or item.this.name.lower() != time_column.lower() or item.args.get("desc"):
            raise self.checker.refuse(
                "a window must be ordered by event time, ascending", order or shape, f"ORDER BY {time_column}"
            )

    def _frame(self, shape: exp.Expr) -> Frame:
        spec = shape.args.get("spec")
        if (
            spec is None
            or spec.args.get("end") not in {"CURRENT ROW", None}
            or spec.args.get("start_side") != "PRECEDING"
            or spec.args.get("exclude")
        ):
            raise self.checker.refuse("expected a frame from PRECEDING to CURRENT ROW", shape, _HINT)
        start = spec.args["start"]
        if not isinstance(start, exp.Expr):
            raise self.checker.refuse(
                "expected a bounded frame: without a bound it would hold all rows for ever", shape, _HINT
            )
        if spec.args.get("kind") == "ROWS":
            return Frame(rows=self._rows(start, "a frame of ROWS"))
        if spec.args.get("kind") != "RANGE":
            raise self.checker.refuse(f"{spec.args.get('kind')} frames are not supported", shape, _HINT)
        scope = RowScope(self.checker.source, "the frame", self.source.stream)
        value = self.checker.fix(self.checker.check(start, scope))
        if not isinstance(value, Literal | Param) or value.type.kind != "INTERVAL" or value.value < 0:
            raise self.checker.refuse("a RANGE frame over event time expects an INTERVAL", shape, _HINT)
        return Frame(range=in_unit(value.value, self.source.stream.time_unit))


class _WindowScope:
    """The SELECT that has the windows: each OVER becomes a column before the rest is checked."""

    def __init__(self, windows: _Windows, rows: RowScope) -> None:
        self._windows = windows
        self._rows = rows
        self._columns: dict[str, Col] = {}
        self.source = rows.source
        self.place = "SELECT"
        self._outer: OutputScope | None = None

    def column(self, qualifier: str | None, name: str, pos: int) -> Expr:
        if name in self._columns:
            return self._columns[name]
        if self._outer is not None:
            return self._outer.column(qualifier, name, pos)
        return self._rows.column(qualifier, name, pos)

    def _replace(self, node: exp.Expr) -> exp.Expr:
        def swap(part: exp.Expr) -> exp.Expr:
            if not isinstance(part, exp.Window):
                return part
            column = self._windows.add(part)
            name = f"\0{column.name}"  # cannot be written in SQL
            self._columns[name] = column
            stand_in = exp.column(name)
            stand_in.this.meta["start"] = column.pos
            return stand_in

        return node.transform(swap)

    def check_list(self, planner: _Planner, select: exp.Select, star: dict[str, tuple[str, Expr]]) -> tuple:  # type: ignore[type-arg]
        replaced = select.copy()
        replaced.set("expressions", [self._replace(e) for e in select.expressions])
        return planner.outputs(replaced, self, star)

    def condition(self, node: exp.Expr, outer: OutputScope) -> Expr:
        self._outer = outer
        try:
            return self._windows.checker.condition(self._replace(node), self)
        finally:
            self._outer = None
