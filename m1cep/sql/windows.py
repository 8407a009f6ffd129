"""Group windows: FROM TABLE(TUMBLE | HOP | CUMULATE | SESSION (...)) GROUP BY key, window_start, window_end, as in Flink SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.errors import RuleError, nearest
from m1cep.model.time import in_unit
from m1cep.plan.ir import TRUE, WINDOW_COLUMN, WINDOW_END, WINDOW_START, Agg, Col, Expr, Literal, Param, conjunction
from m1cep.plan.plans import WindowPlan, WindowShape
from m1cep.sql.aggregates import aggregate_call, is_aggregate
from m1cep.sql.nodes import WindowTable, position
from m1cep.sql.scope import OutputScope, RowScope, stream_column

if TYPE_CHECKING:
    from m1cep.sql.expressions import ExpressionChecker
    from m1cep.sql.statement import Source, _Planner

MAX_WINDOWS_A_ROW = 10_000
_ARGUMENTS = {
    "TUMBLE": ("SIZE", "OFFSET"),
    "HOP": ("SLIDE", "SIZE", "OFFSET"),
    "CUMULATE": ("STEP", "SIZE", "OFFSET"),
    "SESSION": ("GAP",),
}
_EXAMPLE = (
    "FROM TABLE(TUMBLE(TABLE fills, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY account, window_start, window_end"
)
_BOUNDS = {"window_start": WINDOW_START, "window_end": WINDOW_END}


def window_table(select: exp.Select) -> WindowTable | None:
    """The window table function in FROM, if there is one."""
    table = select.args["from_"].this if select.args.get("from_") is not None else None
    return table if isinstance(table, WindowTable) else None


def window_plan(planner: _Planner, select: exp.Select, inner: exp.Select | None) -> WindowPlan:
    """The plan of a SELECT over a window table function, or of one that filters such a SELECT in its FROM.

    Raises:
        RuleError: the windows or the grouping are not of a supported form.
    """
    checker = planner.checker
    grouped = select if inner is None else inner
    table = window_table(grouped)
    assert table is not None
    planner._refuse_clauses(grouped, but=("group", "having"))  # noqa: SLF001 - the planner of this very statement
    source = planner.source_of(table.args["data"])
    where_node = grouped.args.get("where")
    if where_node is not None and (found := next(filter(is_aggregate, where_node.walk()), None)) is not None:
        raise checker.refuse("an aggregate cannot stand in WHERE", found, "HAVING compares aggregates")
    where = planner._where(grouped, planner.row_scope(source, "WHERE"))  # noqa: SLF001
    key = _key(checker, grouped, source, table)
    shape = _shape(checker, table, source)
    if any(column not in key for column in shape.session_key):
        raise checker.refuse(
            "every column of the SESSION's PARTITION BY must be in GROUP BY", table.args["partition_by"][0]
        )
    session = shape.kind == "SESSION"
    groups = _GroupScope(checker, source, key, _aliases(table))
    outputs = groups.check_list(planner, grouped)
    having_node = grouped.args.get("having")
    having = [] if having_node is None else [groups.condition(having_node.this, "HAVING")]
    if grouped is inner:
        alias = select.args["from_"].this.alias
        named = {o.name.lower(): (o.name, o.expr) for o in outputs}
        outer = OutputScope(checker.source, "the outer SELECT", named, frozenset({alias.lower()} if alias else ()))
        outer_where = planner._where(select, outer)  # noqa: SLF001
        having += [] if outer_where is TRUE else [outer_where]
        outputs = planner.outputs(select, outer, named)
    return WindowPlan(
        source=source.stream.name,
        key=key,
        where=source.where if session else conjunction([p for p in (source.where, where) if p is not TRUE]),
        counted=where if session else TRUE,
        shape=shape,
        aggregates=tuple(groups.aggregates),
        having=conjunction(having),
        select=outputs,
    )


def _aliases(table: WindowTable) -> frozenset[str]:
    return frozenset({table.alias.lower()} if table.alias else ())


# grouping


def _key(checker: ExpressionChecker, select: exp.Select, source: Source, table: WindowTable) -> tuple[Col, ...]:
    """The columns of GROUP BY but for the window's bounds, which must be there."""
    group = select.args.get("group")
    if group is None:
        having = select.args.get("having")
        what = "a window table function" if having is None else "HAVING"
        raise checker.refuse(f"{what} expects GROUP BY ..., window_start, window_end", having or table, _EXAMPLE)
    other = next((name for name, value in group.args.items() if name != "expressions" and value), None)
    if other is not None:
        raise checker.refuse(f"GROUP BY {other.upper().replace('_', ' ')} is not supported", group, _EXAMPLE)
    key: list[Col] = []
    bounds: set[str] = set()
    scope = RowScope(checker.source, "GROUP BY", source.stream, source.aliases | _aliases(table))
    for node in group.expressions:
        if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
            raise checker.refuse("GROUP BY expects columns", node, _EXAMPLE)
        name = node.name.lower()
        if name == "window_time":
            raise checker.refuse("window_time is not supported", node, "it is window_end less one unit of time")
        if name in _BOUNDS:
            bounds.add(name)
            continue
        column = scope.column(node.args["table"].name if node.args.get("table") else None, node.name, position(node))
        assert isinstance(column, Col)
        if not column.type.is_scalar:
            raise checker.refuse(f"GROUP BY expects a value, got {column.type}", node)
        if column not in key:
            key.append(column)
    for name in _BOUNDS:
        if name not in bounds:
            raise checker.refuse(f"GROUP BY must have {name}", group, "GROUP BY key, window_start, window_end")
    return tuple(key)


@dataclass
class _GroupScope:
    """SELECT and HAVING of groups: key columns, the window's bounds, and aggregates, each of which becomes a column."""

    checker: ExpressionChecker
    rows: Source
    key: tuple[Col, ...]
    aliases: frozenset[str]
    place: str = "SELECT"
    aggregates: list[Agg] = field(default_factory=list)
    _stand_ins: dict[str, Col] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.source = self.checker.source

    def column(self, qualifier: str | None, name: str, pos: int) -> Expr:
        if name in self._stand_ins:
            return self._stand_ins[name]
        stream = self.rows.stream
        bound = _BOUNDS.get(name.lower())
        if bound is not None:
            time = stream.by_name[stream.time_column.lower()]
            return Col(bound, name.lower(), time.type, nullable=False, pos=pos)
        if name.lower() == "window_time":
            hint = "it is window_end less one unit of time, and the alert's event_time"
            raise RuleError("window_time is not supported", self.source, pos, length=len(name), hint=hint)
        if self.place == "HAVING" and name.lower() not in stream.by_name:
            hint = nearest(name, [c.name for c in stream.columns])
            hint = hint if hint.startswith("did") else "HAVING sees no names of SELECT: write the aggregate again"
            raise RuleError(f"there is no column {name!r} in HAVING", self.source, pos, length=len(name), hint=hint)
        scope = RowScope(self.source, self.place, stream, self.rows.aliases | self.aliases)
        found = scope.column(qualifier, name, pos)
        if found not in self.key:
            raise RuleError(
                f"column {name!r} is neither in GROUP BY nor inside an aggregate",
                self.source,
                pos,
                length=len(name),
                hint=f"add it to GROUP BY, or say which of its values: MAX({name})",
            )
        return found

    def _replace(self, node: exp.Expr) -> exp.Expr:
        return node.transform(self._stand_in)

    def _stand_in(self, node: exp.Expr) -> exp.Expr:
        """A column instead of an aggregate."""
        if isinstance(node, exp.Window):
            raise self.checker.refuse("OVER cannot stand in a SELECT with GROUP BY", node)
        if not is_aggregate(node):
            return node
        agg = aggregate_call(
            self.checker, node, RowScope(self.source, "", self.rows.stream, self.rows.aliases | self.aliases)
        )
        if agg not in self.aggregates:
            self.aggregates.append(agg)
        index = self.aggregates.index(agg)
        name = f"{WINDOW_COLUMN}{index}"
        self._stand_ins[name] = Col(name, f"w{index}", agg.type, agg.nullable, position(node))
        column = exp.column(name)
        column.this.meta["start"] = position(node)
        return column

    def check_list(self, planner: _Planner, select: exp.Select) -> tuple:  # type: ignore[type-arg]  # of Output
        for item in select.expressions:
            if isinstance(item, exp.Star):
                raise self.checker.refuse("* cannot stand in a SELECT with GROUP BY", item, "name the columns")
        replaced = select.copy()
        replaced.set("expressions", [self._replace(e) for e in select.expressions])
        return planner.outputs(replaced, self, {})

    def condition(self, node: exp.Expr, place: str) -> Expr:
        self.place = place
        return self.checker.condition(self._replace(node), self)


# shapes


def _shape(checker: ExpressionChecker, table: WindowTable, source: Source) -> WindowShape:
    kind = table.this.name.upper()
    if kind not in _ARGUMENTS:
        raise checker.refuse(
            f"there is no window table function {table.this.name}", table.this, nearest(kind, _ARGUMENTS)
        )
    _check_descriptor(checker, table, source)
    given = _arguments(checker, kind, table)
    found = {name: _interval(checker, name, node, source) for name, node in given.items()}
    partition = table.args.get("partition_by") or []
    if kind == "SESSION":
        key = tuple(stream_column(source.stream, c.name, position(c), checker.source) for c in partition)
        return WindowShape(kind, found["GAP"], found["GAP"], session_key=key)
    if partition:
        raise checker.refuse(
            f"PARTITION BY belongs to SESSION, not to {kind}", partition[0], "GROUP BY makes the groups"
        )
    size = found["SIZE"]
    slide = found.get("SLIDE", found.get("STEP", size))
    if kind == "CUMULATE" and size % slide:
        raise checker.refuse("the size of CUMULATE must be a multiple of its step", given["SIZE"])
    if size > MAX_WINDOWS_A_ROW * slide:
        hint = f"at most {MAX_WINDOWS_A_ROW:,}: let {kind} go on in larger steps"
        raise checker.refuse(f"every row would be in {size // slide:,} windows", given["SIZE"], hint)
    return WindowShape(kind, size, slide, found.get("OFFSET", 0))


def _check_descriptor(checker: ExpressionChecker, table: WindowTable, source: Source) -> None:
    time_column = source.stream.time_column
    columns = table.args["descriptor"]
    if len(columns) != 1 or columns[0].name.lower() != time_column.lower():
        at = columns[0] if columns else table
        raise checker.refuse("windows are over event time", at, f"DESCRIPTOR({time_column})")


def _arguments(checker: ExpressionChecker, kind: str, table: WindowTable) -> dict[str, exp.Expr]:
    """The intervals by name, whether they were named or stand in order."""
    names = _ARGUMENTS[kind]
    usage = f"{kind}(TABLE s, DESCRIPTOR(ts), {', '.join(n.lower() for n in names if n != 'OFFSET')})"
    given: dict[str, exp.Expr] = {}
    for n, node in enumerate(table.args["arguments"]):
        named = isinstance(node, exp.Kwarg)
        name = node.this.name.upper() if named else (names[n] if n < len(names) else "")
        if name not in names or name in given:
            raise checker.refuse(f"unexpected argument of {kind}", node, usage)
        given[name] = node.expression if named else node
    for name in names:
        if name not in given and name != "OFFSET":
            raise checker.refuse(f"{kind} expects {name.lower()}", table, usage)
    return given


def _interval(checker: ExpressionChecker, name: str, node: exp.Expr, source: Source) -> int:
    """An INTERVAL constant in the stream's time unit."""
    value = checker.fix(checker.check(node, RowScope(checker.source, "a window table function", source.stream)))
    if not isinstance(value, Literal | Param) or value.type.kind != "INTERVAL":
        raise checker.refuse(f"{name.lower()} expects an INTERVAL", node, "INTERVAL '1' MINUTE")
    unit = source.stream.time_unit
    found = in_unit(value.value, unit)
    if found * (1 if unit == "us" else 1_000) != value.value:
        raise checker.refuse(f"{name.lower()} must be a whole number of {unit}, as event time is", node)
    if found <= 0 and name != "OFFSET":
        raise checker.refuse(f"{name.lower()} must be positive", node)
    return found
