"""Interval joins: FROM a JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL 'n' UNIT; also LEFT JOIN, and commas.

The conditions of ON (of an inner join also those of WHERE) are sorted: what bounds the difference of the two event times, what
makes columns equal, what concerns one side alone, and the rest, which is asked of every pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.errors import RuleError
from m1cep.model.joined import join_source
from m1cep.model.types import BOOLEAN
from m1cep.plan.ir import TRUE, Call, Expr, Param, conjunction, conjuncts, walk
from m1cep.plan.join import LEFT, RIGHT, JoinPlan, JoinSide, SideCol
from m1cep.sql.joinscope import JoinScope
from m1cep.sql.nodes import position
from m1cep.sql.timebounds import TimeBounds

if TYPE_CHECKING:
    from m1cep.model.stream import Stream
    from m1cep.sql.statement import _Planner

_KINDS = {
    "RIGHT": "name the streams the other way round and write LEFT JOIN",
    "FULL": "write two rules, a LEFT JOIN each",
    "CROSS": "state what makes two rows a pair: JOIN ... ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '5' SECOND",
    "SEMI": "write JOIN",
    "ANTI": "write LEFT JOIN ... ON ... WHERE b.k IS NULL, with a column k of ON",
    "NATURAL": "write JOIN ... ON a.k = b.k AND ...",
    "ASOF": "write JOIN ... ON a.k = b.k AND b.ts BETWEEN ...",
}
_ALLOWED = (["", "", ""], ["", "", "INNER"], ["", "LEFT", ""], ["", "LEFT", "OUTER"])  # method, side, kind


def join_plan(planner: _Planner, select: exp.Select) -> JoinPlan:
    """The plan of a SELECT from two streams.

    Raises:
        RuleError: the join is not one of two streams with an equality and bounds in event time.
    """
    checker, source = planner.checker, planner.source
    join, outer = _the_join(planner, select)
    left, right = planner.source_of(select.args["from_"].this), planner.source_of(join.this)
    scope = JoinScope(source, "ON", (left, right))
    scope.check_names(position(join))
    if left.stream.time_unit != right.stream.time_unit:
        raise RuleError(
            f"{left.stream.name!r} and {right.stream.name!r} measure event time in different units",
            source,
            position(join),
        )
    found = _Conditions(scope, position(join), outer)
    if join.args.get("on") is not None:
        found.sort(checker.condition(join.args["on"], scope))
    where_scope = JoinScope(source, "WHERE", (left, right), outer)
    where = planner._where(select, where_scope)  # noqa: SLF001 - the planner of this very statement
    if not outer:
        found.sort(where)
        where = TRUE
    key, bounds = found.checked_key(), found.checked_bounds()
    for parameter in found.bounding:
        checker.fix(parameter)
    outputs = planner.outputs(_expand_stars(select, scope), JoinScope(source, "SELECT", (left, right), outer), {})
    where_left, where = _left_only(where)
    sides = [
        JoinSide(s.stream.name, tuple(k[side] for k in key), conjunction([*parts, *_not_null(key, side, outer)]))
        for side, s, parts in (
            (LEFT, left, [*conjuncts(left.where), *found.alone[LEFT], *where_left]),
            (RIGHT, right, [*conjuncts(right.where), *found.alone[RIGHT]]),
        )
    ]
    return JoinPlan(
        source=join_source(left.stream, right.stream).name,
        key=sides[LEFT].key,
        left=sides[LEFT],
        right=sides[RIGHT],
        lower=bounds[0],
        upper=bounds[1],
        on=conjunction(found.others),
        where=where,
        select=outputs,
        outer=outer,
        absence=outer and any(_fails_on_pairs(p, key, right.stream) for p in conjuncts(where)),
    )


def _the_join(planner: _Planner, select: exp.Select) -> tuple[exp.Join, bool]:
    """The only join of a SELECT, and whether it is a LEFT JOIN."""
    checker = planner.checker
    join, *more = select.args["joins"]
    if more:
        raise checker.refuse("a join has two streams, got a third", more[0], "CREATE VIEW ... UNION ALL unites several")
    if select.args.get("match") is not None or select.args.get("qualify") is not None or select.find(exp.Window):
        raise checker.refuse("MATCH_RECOGNIZE and OVER do not work on a join", join, "unite the streams in a view")
    words = [str(join.args.get(part) or "").upper() for part in ("method", "side", "kind")]
    if words not in _ALLOWED:
        word = next((w for w in words if w in _KINDS), "")
        raise checker.refuse(
            f"{' '.join(filter(None, words))} JOIN is not supported", join, _KINDS.get(word, "write JOIN")
        )
    if join.args.get("using"):
        raise checker.refuse("expected ON, got USING", join, "JOIN ... ON a.k = b.k AND b.ts BETWEEN ...")
    if not isinstance(join.this, exp.Table | exp.Subquery):
        raise checker.refuse("expected a stream or a subquery after JOIN", join)
    return join, "LEFT" in words


def _expand_stars(select: exp.Select, scope: JoinScope) -> exp.Select:
    """The SELECT with every column in the place of * and a.*."""
    items: list[exp.Expr] = []
    for item in select.expressions:
        table = item.args["table"].name if isinstance(item, exp.Column) and item.args.get("table") else None
        star = item.this if isinstance(item, exp.Column) else item
        if isinstance(star, exp.Star) and not any(star.args.values()):
            items.extend(scope.every_column(table, position(item)))
        else:
            items.append(item)
    expanded = select.copy()
    expanded.set("expressions", items)
    return expanded


def _not_null(key: list[tuple[SideCol, SideCol]], side: int, outer: bool) -> list[Expr]:
    """NULL equals nothing: a row without a key pairs with none. The left row of an outer join is there all the same."""
    if outer and side == LEFT:
        return []
    null = [Call("IS_NULL", (k[side],), BOOLEAN, False, k[side].pos) for k in key if k[side].nullable]
    return [Call("NOT", (n,), BOOLEAN, False, n.pos) for n in null]


def _left_only(where: Expr) -> tuple[list[Expr], Expr]:
    """The parts of an outer join's WHERE that concern the left row alone, and the rest."""
    parts = conjuncts(where)
    alone = [p for p in parts if _sides(p) == {LEFT}]
    return alone, conjunction([p for p in parts if p not in alone])


def _fails_on_pairs(part: Expr, key: list[tuple[SideCol, SideCol]], right: Stream) -> bool:
    """Whether a condition says that there is no right row: b.x IS NULL, of an x that no right row of a pair has NULL."""
    if not isinstance(part, Call) or part.op != "IS_NULL":
        return False
    column = part.args[0]
    if not isinstance(column, SideCol) or column.side != RIGHT:
        return False
    return column.attr in {k[RIGHT].attr for k in key} or not right.by_name[column.name.lower()].nullable


def _sides(expr: Expr) -> set[int]:
    return {e.side for e in walk(expr) if isinstance(e, SideCol)}


@dataclass
class _Conditions:
    """The conditions of a join, sorted."""

    scope: JoinScope
    pos: int
    outer: bool
    key: list[tuple[SideCol, SideCol]] = field(default_factory=list)
    alone: tuple[list[Expr], list[Expr]] = field(default_factory=lambda: ([], []))
    others: list[Expr] = field(default_factory=list)
    bounding: list[Param] = field(default_factory=list)  # parameters whose values the bounds were worked out with

    def __post_init__(self) -> None:
        left, right = (s.stream for s in self.scope.sides)
        self.bounds = TimeBounds((left.time_attr, right.time_attr), left.time_unit)

    def sort(self, condition: Expr) -> None:
        """Take the parts of a conjunction in."""
        for part in conjuncts(condition):
            if self.bounds.take(part):
                self.bounding += [e for e in walk(part) if isinstance(e, Param)]
                continue
            sides, pair = _sides(part), _equal_columns(part)
            if pair is not None and all(pair[LEFT].attr != k[LEFT].attr for k in self.key):
                self.key.append(pair)
            elif sides == {RIGHT} or (sides == {LEFT} and not self.outer):  # of an outer join every left row stays
                self.alone[min(sides)].append(part)
            else:
                self.others.append(part)

    def checked_key(self) -> list[tuple[SideCol, SideCol]]:
        """The equal columns, at least one pair."""
        if not self.key:
            self._refuse_or()
            a, b = (min(self.scope.names(side)) for side in (LEFT, RIGHT))
            raise RuleError(
                "expected a column of one side that equals one of the other",
                self.scope.source,
                self.pos,
                hint=f"ON {a}.account = {b}.account AND ...",
            )
        return self.key

    def checked_bounds(self) -> tuple[int, int]:
        """Least and greatest difference of the event times, right less left."""
        lower, upper = self.bounds.lower, self.bounds.upper
        a, b = (
            f"{min(n)}.{s.stream.time_column}"
            for n, s in zip(map(self.scope.names, (0, 1)), self.scope.sides, strict=True)
        )
        example = f"{b} BETWEEN {a} AND {a} + INTERVAL '5' SECOND"
        if lower is None or upper is None:
            self._refuse_or()
            for part in self.others:
                if _compares_times(part):
                    raise RuleError(
                        "a join is bounded in event time, and this is another column",
                        self.scope.source,
                        part.pos,
                        hint=example,
                    )
            missing = "bounds" if lower is upper else "an upper bound" if upper is None else "a lower bound"
            raise RuleError(
                f"expected {missing} on {b} against {a}: without, rows would wait for a partner for ever",
                self.scope.source,
                self.pos,
                hint=example,
            )
        if lower > upper:
            raise RuleError(
                f"no pair can fit these bounds: {b} - {a} from {lower} to {upper} {self.scope.sides[0].stream.time_unit}",
                self.scope.source,
                self.pos,
            )
        return lower, upper

    def _refuse_or(self) -> None:
        for part in self.others:
            if isinstance(part, Call) and part.op == "OR":
                raise RuleError(
                    "the equality and the bounds of a join must hold for every pair, and here they stand under OR",
                    self.scope.source,
                    part.pos,
                    hint="join conditions with AND; write one rule for each side of the OR",
                )


def _equal_columns(part: Expr) -> tuple[SideCol, SideCol] | None:
    """The two columns, left first, of an equality of one side's column and the other's that a dictionary can look up."""
    if not isinstance(part, Call) or part.op != "EQ":
        return None
    x, y = part.args
    if not isinstance(x, SideCol) or not isinstance(y, SideCol) or x.side == y.side:
        return None
    kinds = {x.type.kind, y.type.kind}
    if x.type.time_unit != y.type.time_unit or kinds == {"DECIMAL", "DOUBLE"}:
        return None  # equal only after conversion
    return (x, y) if x.side == LEFT else (y, x)


def _compares_times(part: Expr) -> bool:
    """Whether a condition compares times of both sides."""
    if not isinstance(part, Call) or part.op not in {"LT", "LE", "GT", "GE"} or len(_sides(part)) < 2:
        return False
    return all(arg.type.kind in {"TIMESTAMP", "INTERVAL"} for arg in part.args)
