"""One SELECT to a plan: which of the forms it is, and what stands where in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.errors import RuleError, SourceText, nearest
from m1cep.plan.ir import TRUE, Col, Expr, conjunction
from m1cep.plan.plans import FilterPlan, Output, Plan
from m1cep.sql.dialect import parse
from m1cep.sql.expressions import ExpressionChecker
from m1cep.sql.joins import join_plan
from m1cep.sql.matching import match_plan
from m1cep.sql.nodes import RowMatch, WindowTable, position, written
from m1cep.sql.over import has_window, over_plan
from m1cep.sql.scope import OutputScope, RowScope, stream_column
from m1cep.sql.windows import window_plan, window_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.model.stream import Stream
    from m1cep.sql.frontmatter import FrontMatter
    from m1cep.sql.scope import Scope

_CLAUSES = {
    "with_": "WITH",
    "joins": "JOIN",
    "laterals": "LATERAL",
    "group": "GROUP BY",
    "having": "HAVING",
    "order": "ORDER BY",
    "limit": "LIMIT",
    "offset": "OFFSET",
    "distinct": "DISTINCT",
    "pivots": "PIVOT",
    "sample": "TABLESAMPLE",
    "into": "INTO",
}
_EXTRAS = {
    "version": "FOR SYSTEM_TIME",
    "pivots": "PIVOT",
    "sample": "TABLESAMPLE",
    "ordinality": "WITH ORDINALITY",
}
_HINTS = dict.fromkeys(
    ("GROUP BY", "HAVING"),
    "it belongs to windows: FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end",
)


@dataclass(frozen=True)
class Source:
    """What a FROM names: a stream, which of its rows, and the names it goes by."""

    stream: Stream
    where: Expr
    aliases: frozenset[str]


def plan_statement(
    source: SourceText, matter: FrontMatter, streams: Mapping[str, Stream]
) -> tuple[Plan, frozenset[str]]:
    """The plan of a rule text, and the parameters whose values became part of it.

    Raises:
        RuleError: the statement is not one of the forms that a rule has.
    """
    statements = parse(source)
    if len(statements) != 1:
        at = position(statements[1]) if len(statements) > 1 else 0
        raise RuleError(f"expected one SELECT in a rule, got {len(statements)} statements", source, at)
    select = statements[0]
    if not isinstance(select, exp.Select):
        raise RuleError(f"expected SELECT, got {type(select).__name__.upper()}", source, position(select))
    checker = ExpressionChecker(source, matter.typed_params(), matter.on_missing)
    plan = _Planner(source, streams, checker).plan(select)
    if matter.on_missing == "fail_closed" and not checker.reads_list:
        raise RuleError(
            "on_missing: fail_closed is about lists, and this rule reads none",
            source,
            hint="leave it out, or ask IN_LIST",
        )
    return plan, frozenset(checker.fixed_params)


class _Planner:
    def __init__(self, source: SourceText, streams: Mapping[str, Stream], checker: ExpressionChecker) -> None:
        self.source = source
        self.streams = streams
        self.checker = checker

    def plan(self, select: exp.Select) -> Plan:
        if select.args.get("joins") and select.args.get("from_") is not None:
            self._refuse_clauses(select, ("joins",))
            return join_plan(self, select)
        if window_table(select) is not None:
            return window_plan(self, select, None)
        self._refuse_clauses(select)
        match = select.args.get("match")
        if isinstance(match, RowMatch):
            plan, outputs = match_plan(self.checker, match, self._source(select))
            aliases = frozenset({match.args["alias"].name.lower()} if match.args.get("alias") else ())
            scope = OutputScope(self.source, "the SELECT of MATCH_RECOGNIZE", outputs, aliases)
            return plan(self._where(select, scope), self.outputs(select, scope, outputs))
        inner = self._subquery(select)
        if inner is not None and window_table(inner) is not None and not has_window(select):
            return window_plan(self, select, inner)
        if has_window(select) or select.args.get("qualify") is not None or (inner is not None and has_window(inner)):
            return over_plan(self, select, inner)
        source = self._source(select)
        scope_ = self.row_scope(source, "SELECT")
        where = self._where(select, self.row_scope(source, "WHERE"))
        key = tuple(stream_column(source.stream, k, 0, self.source) for k in source.stream.key) or self._view_key(
            source.stream
        )
        all_columns = {
            c.name.lower(): (c.name, _col(c.name, source.stream, self.source)) for c in source.stream.columns
        }
        return FilterPlan(
            source.stream.name,
            key,
            conjunction([p for p in (source.where, where) if p is not TRUE]),
            self.outputs(select, scope_, all_columns),
        )

    def row_scope(self, source: Source, place: str) -> RowScope:
        return RowScope(self.source, place, source.stream, source.aliases)

    def _view_key(self, view: Stream) -> tuple[Col, ...]:
        """A view's key: the column that carries the key of every stream it unites, where there is one."""
        names = []
        for index, column in enumerate(view.columns):
            if all((b.columns[index],) == self.streams[b.stream].key for b in view.branches):
                names.append(column.name)
        return tuple(stream_column(view, n, 0, self.source) for n in names[:1])

    def _refuse_clauses(self, select: exp.Select, but: tuple[str, ...] = ()) -> None:
        """Refuse what no rule may have, and what this form has not."""
        for arg, clause in _CLAUSES.items():
            found = select.args.get(arg)
            if found and arg not in but:
                node = found[0] if isinstance(found, list) else found
                raise RuleError(
                    f"{clause} is not supported here",
                    self.source,
                    position(node) or position(select),
                    hint=_HINTS.get(clause, ""),
                )

    def _subquery(self, select: exp.Select) -> exp.Select | None:
        table = select.args["from_"].this if select.args.get("from_") else None
        inner = table.this if isinstance(table, exp.Subquery) else None
        return inner if isinstance(inner, exp.Select) else None

    def _source(self, select: exp.Select) -> Source:
        """The stream of FROM, through one level of SELECT ... FROM stream WHERE ...."""
        if select.args.get("from_") is None:
            raise RuleError("expected FROM stream", self.source, position(select))
        return self.source_of(select.args["from_"].this)

    def source_of(self, table: exp.Expr) -> Source:
        """What a FROM, or the first argument of a window table function, names."""
        self._refuse_extras(table)
        alias = frozenset({table.alias.lower()} if table.alias else ())
        if isinstance(table, exp.Subquery) and isinstance(table.this, exp.Select):
            inner = table.this
            self._refuse_clauses(inner)
            if inner.args.get("match") is not None or has_window(inner):
                raise RuleError("not supported in this subquery: MATCH_RECOGNIZE or OVER", self.source, position(inner))
            source = self._source(inner)
            self._plain_columns(inner, source)
            where = self._where(inner, self.row_scope(source, "WHERE"))
            return Source(source.stream, conjunction([p for p in (source.where, where) if p is not TRUE]), alias)
        if isinstance(table, WindowTable):
            hint = "it stands in FROM of a SELECT with GROUP BY"
            raise RuleError("a window table function is not supported here", self.source, position(table), hint=hint)
        if not isinstance(table, exp.Table) or table.args.get("db") is not None:
            raise RuleError(
                f"expected a stream or a subquery after FROM, got {written(table)}", self.source, position(table)
            )
        by_name = {n.lower(): s for n, s in self.streams.items()}
        stream = by_name.get(table.name.lower())
        if stream is None:
            raise RuleError(
                f"there is no stream {table.name!r}",
                self.source,
                position(table),
                length=len(table.name),
                hint=nearest(table.name, self.streams),
            )
        return Source(stream, TRUE, alias)

    def _refuse_extras(self, table: exp.Expr) -> None:
        """Refuse what a FROM may not have beside a name and an alias."""
        if not isinstance(table, exp.Table | exp.Subquery):
            return
        for arg, found in table.args.items():
            if found and arg not in {"this", "alias", "db", "catalog"}:
                clause = _EXTRAS.get(arg, arg.upper())
                raise RuleError(f"{clause} is not supported here", self.source, position(table))
        alias = table.args.get("alias")
        if alias is not None and alias.args.get("columns"):
            raise RuleError("an alias cannot rename columns", self.source, position(alias), hint="write AS in SELECT")

    def _plain_columns(self, inner: exp.Select, source: Source) -> None:
        """A subquery below MATCH_RECOGNIZE selects rows, it computes nothing."""
        for item in inner.expressions:
            if isinstance(item, exp.Star):
                continue
            if not isinstance(item, exp.Column) or isinstance(item.this, exp.Star):
                raise RuleError("expected * or plain columns in this subquery", self.source, position(item))
            stream_column(source.stream, item.name, position(item), self.source)

    def _where(self, select: exp.Select, scope: Scope) -> Expr:
        """The checked WHERE, TRUE where there is none."""
        node = select.args.get("where")
        return TRUE if node is None else self.checker.condition(node.this, scope)

    def outputs(self, select: exp.Select, scope: Scope, star: Mapping[str, tuple[str, Expr]]) -> tuple[Output, ...]:
        """The SELECT list; ``star`` is what * stands for."""
        found: list[Output] = []
        for item in select.expressions:
            if isinstance(item, exp.Star):
                if any(item.args.values()):
                    raise RuleError("expected * alone", self.source, position(item), hint="name the columns you want")
                found.extend(Output(name, expr) for name, expr in star.values())
                continue
            name = item.alias_or_name
            if not name:
                raise RuleError("expected AS name after an expression in SELECT", self.source, position(item))
            expr = self.checker.check(item.this if isinstance(item, exp.Alias) else item, scope)
            found.append(Output(name, expr))
        names = [o.name.lower() for o in found]
        for name in names:
            if names.count(name) > 1:
                raise RuleError(
                    f"two columns of SELECT are named {name!r}",
                    self.source,
                    position(select),
                    hint="rename one with AS",
                )
        return tuple(found)


def _col(name: str, stream: Stream, source: SourceText) -> Expr:
    return stream_column(stream, name, 0, source)
