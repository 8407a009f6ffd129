"""SELECT statements for Flink: filters, row patterns, sliding aggregates, joins by time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from m1cep.sql.flink.matching import translate_match
from m1cep.sql.flink.names import Names, stream_names
from m1cep.sql.flink.rewrite import Rewriter
from m1cep.sql.flink.tables import time_column
from m1cep.sql.flink.windows import BOUNDS, window_function
from m1cep.sql.nodes import RowMatch
from m1cep.sql.over import has_window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.model.stream import Stream
    from m1cep.model.types import SqlType
    from m1cep.sql.flink.report import Report

_CLAUSES = ("where", "group", "having", "qualify")
_KNOWN = {"expressions", "from_", "match", "joins", "windows", "kind", *_CLAUSES}
_BOUNDS = (exp.EQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between)


class Translator:
    """Translates the statement of one rule.

    Attributes:
        used: the streams and views that it reads, in the order of the text.
    """

    def __init__(
        self, report: Report, params: Mapping[str, tuple[Any, SqlType]], streams: Mapping[str, Stream]
    ) -> None:
        self.report = report
        self.streams = {n.lower(): s for n, s in streams.items()}
        self.rewriter = Rewriter(report, params, time_column(streams.values()))
        self.used: list[Stream] = []

    def statement(self, select: exp.Select) -> exp.Expr:
        """The whole statement for Flink."""
        return self._select(select, needs_time=False)[0]

    def _select(self, select: exp.Select, *, needs_time: bool) -> tuple[exp.Select, Names]:
        """A SELECT, and the names that it puts out. ``needs_time``: what is around it orders by event time."""
        for key, value in select.args.items():
            if value and key not in _KNOWN:
                self.report.cannot(f"{key.strip('_').upper()} is not translated", select)
        match, over = select.args.get("match"), has_window(select)
        table, names = self._table(select.args["from_"].this, needs_time=needs_time or over or match is not None)
        new = exp.Select(from_=exp.From(this=table))
        if isinstance(match, RowMatch):
            new_match, outputs = translate_match(self.rewriter, match, names)
            new.set("match", new_match)
            names = _called_by(Names(outputs), new_match)
        if select.args.get("joins"):
            names = self._joins(select, new, names)
        self._check_windows(select)
        new.set("windows", [self.rewriter.rewrite(w, names) for w in select.args.get("windows") or []] or None)
        items = [self._item(item, names) for item in select.expressions]
        aliases = {
            a.alias.lower(): (a.alias, self.rewriter.typer.of(a.this, names))
            for a in select.expressions
            if isinstance(a, exp.Alias)
        }
        if needs_time and not any(isinstance(i, exp.Star) for i in items):
            items.append(exp.column(self.rewriter.time))
        new.set("expressions", items)
        for clause in _CLAUSES:
            node = select.args.get(clause)
            if node is not None:
                scope = names.with_columns(aliases) if clause == "qualify" else names
                if clause == "group":
                    new.set(clause, self._group(node, scope))
                    continue
                new.set(clause, self._bounded(node, scope) if names.tables else self.rewriter.rewrite(node, scope))
        return new, names.with_columns(aliases)

    def _table(self, node: exp.Expr, *, needs_time: bool) -> tuple[exp.Expr, Names]:
        """What FROM or JOIN names."""
        if isinstance(node, exp.Subquery):
            inner, names = self._select(node.this, needs_time=needs_time)
            names = replace(names, bounds=frozenset())  # a subquery puts numbers out
            return exp.Subquery(this=inner, alias=node.args.get("alias")), _called_by(names, node)
        if node.args.get("descriptor"):
            return self._windows(node)
        stream = self.streams.get(node.name.lower()) if isinstance(node, exp.Table) else None
        if stream is None:
            self.report.cannot("this form of FROM is not translated", node)
            return node.copy(), Names({})
        if stream not in self.used:
            self.used.append(stream)
            self._note_stream(stream, node)
        table = exp.Table(this=exp.to_identifier(stream.name), alias=node.args.get("alias"))
        return table, _called_by(stream_names(stream), table)

    def _windows(self, node: exp.Expr) -> tuple[exp.Expr, Names]:
        """A window table function and its names: the stream's, and the window's bounds."""
        data = node.args["data"]
        if not isinstance(data, exp.Table):
            self.report.cannot("a subquery in a window function", data, "Flink wants a table or a view there")
            return node.copy(), Names({})
        _, names = self._table(data, needs_time=True)
        time = names.columns[names.time][1]
        names = replace(names.with_columns({b: (b, time) for b in BOUNDS}), bounds=frozenset(BOUNDS))
        return window_function(self.rewriter, node, self.used[-1].name, names), _called_by(names, node)

    def _note_stream(self, stream: Stream, node: exp.Expr) -> None:
        if stream.is_view and len(stream.inputs) > 1:
            what = f"events of {' and '.join(stream.inputs)} with one time come in any order in Flink"
            self.report.differs(what, node, length=len(node.name))
        if stream.time_unit == "us":
            what = (
                "rows of the same millisecond come in the order of arrival in Flink, and WITHIN is told in milliseconds"
            )
            self.report.differs(what, node, length=len(node.name))

    def _item(self, item: exp.Expr, names: Names) -> exp.Expr:
        """An entry of the SELECT list, under the name that the rule gives it."""
        new = self.rewriter.rewrite(item, names)
        if isinstance(item, exp.Column) and not isinstance(item.this, exp.Star) and new.name != item.name:
            return exp.Alias(this=new, alias=exp.to_identifier(item.name))
        return new

    def _group(self, node: exp.Expr, names: Names) -> exp.Expr:
        """GROUP BY: the window's bounds as Flink has them."""
        return self.rewriter.children(node, replace(names, bounds=frozenset()))

    # OVER

    def _check_windows(self, select: exp.Select) -> None:
        """Flink computes all aggregates of a SELECT over one window; equal times are peers in its RANGE frames."""
        named = {w.name.lower(): w for w in select.args.get("windows") or []}
        shapes: dict[str, exp.Expr] = {}
        nodes = [*select.expressions, *([select.args["qualify"]] if select.args.get("qualify") is not None else [])]
        for window in (w for n in nodes for w in n.find_all(exp.Window)):
            alias = window.args.get("alias")
            shape = named.get(alias.name.lower(), window) if alias is not None else window
            text = " ".join(p.sql() for k in ("partition_by", "order", "spec") for p in _listed(shape.args.get(k)))
            shapes.setdefault(text, window)
            spec = shape.args.get("spec")
            if spec is not None and spec.args.get("kind") == "RANGE":
                what = "a RANGE frame of Flink also has the later rows of the same time"
                self.report.differs(what, shape)
        for window in list(shapes.values())[1:]:
            why = "Flink computes all aggregates of a SELECT over the same window; nest one SELECT for each"
            self.report.cannot("a second OVER window", window, why)

    # joins

    def _joins(self, select: exp.Expr, new: exp.Select, left: Names) -> Names:
        """JOIN ... ON: bounds on event time must be told with Flink's own event time."""
        tables = {_called(select.args["from_"].this): left}
        joined = []
        for join in select.args["joins"]:
            table, names = self._table(join.this, needs_time=True)
            tables[_called(join.this)] = names
            joined.append((join, table))
        spelt = {k: v for t in tables.values() for k, v in t.variables.items()}
        both = Names({}, tables=tables, variables=spelt)
        for join, table in joined:
            result = join.copy()
            result.set("this", table)
            if join.args.get("using"):
                self.report.cannot("USING is not translated", join, "write ON a.k = b.k")
            if join.args.get("on") is not None:
                result.set("on", self._bounded(join.args["on"], both))
            new.append("joins", result)
        return both

    def _bounded(self, node: exp.Expr, names: Names) -> exp.Expr:
        """A condition of a join: comparisons of nothing but event times and intervals are Flink's time bounds."""
        if isinstance(node, exp.And | exp.Paren | exp.Where):
            new = node.copy()
            for key in ("this", "expression"):
                if isinstance(node.args.get(key), exp.Expr):
                    new.set(key, self._bounded(node.args[key], names))
            return new
        if isinstance(node, _BOUNDS) and all(
            self._is_time_sum(a, names) for a in node.args.values() if isinstance(a, exp.Expr)
        ):
            return node.transform(self._time_part)
        return self.rewriter.rewrite(node, names)

    def _is_time_sum(self, node: exp.Expr, names: Names) -> bool:
        """Event time, or event time plus or less a constant interval."""
        if isinstance(node, exp.Paren):
            return self._is_time_sum(node.this, names)
        if isinstance(node, exp.Add | exp.Sub):
            constant = isinstance(node.expression, exp.Interval | exp.Placeholder)
            is_interval = self.rewriter.typer.of(node.expression, names).kind == "INTERVAL"
            return constant and is_interval and self._is_time_sum(node.this, names)
        return names.is_time(node)

    def _time_part(self, part: exp.Expr) -> exp.Expr:
        if isinstance(part, exp.Column):
            return self.rewriter.time_of(part)
        if isinstance(part, exp.Interval | exp.Placeholder):
            return self.rewriter.fixed_interval(part)
        return part


def _called_by(names: Names, table: exp.Expr) -> Names:
    """The names with the spelling of their table: Flink tells upper case from lower."""
    name = table.alias or (table.name if isinstance(table, exp.Table) else "")
    return replace(names, variables={name.lower(): name})


def _called(table: exp.Expr) -> str:
    return str(table.alias or table.name).lower()


def _listed(value: Any) -> list[exp.Expr]:
    return value if isinstance(value, list) else [] if value is None else [value]
