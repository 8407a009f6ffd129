"""SQL expressions to checked expressions: names resolved, types compared, what is unknown refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from m1cep.errors import RuleError, nearest
from m1cep.model.time import parse_time
from m1cep.model.types import BOOLEAN, DOUBLE, INTERVAL, NULL, STRING, SqlType
from m1cep.plan.ir import Call, Expr, Literal, Param, children, may_leave_type
from m1cep.sql import scalars
from m1cep.sql.aggregates import is_aggregate
from m1cep.sql.dialect import position, written
from m1cep.sql.literals import interval, number, sql_type
from m1cep.sql.lookups import in_list, param
from m1cep.sql.navigation import aggregate, classifier, match_number, navigation, semantics
from m1cep.sql.scope import DefineScope, MeasureScope
from m1cep.sql.types import arithmetic, common, comparable, fits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from m1cep.errors import SourceText
    from m1cep.sql.scope import Scope

_COMPARE = {exp.EQ: "EQ", exp.NEQ: "NE", exp.LT: "LT", exp.LTE: "LE", exp.GT: "GT", exp.GTE: "GE"}
_SIGNS = {"EQ": "=", "NE": "<>", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}
_ARITHMETIC: dict[type[exp.Expr], str] = {
    exp.Add: "ADD",
    exp.Sub: "SUB",
    exp.Mul: "MUL",
    exp.Div: "DIV",
    exp.Mod: "MOD",
}
MAX_DEPTH = 40  # of nesting; Python takes 200 brackets within one another, and a level may need four
MAX_TERMS = 100  # of one chain of + - * / %
MAX_WEIGHT = 20_000  # parts of an expression as it runs


@dataclass
class ExpressionChecker:
    """Checks the expressions of one rule.

    Attributes:
        params: the front matter's.
        on_missing: the front matter's.
        reads_list: some expression asks a list.
        fixed_params: those of ``params`` whose value a plan needs (WITHIN, a frame): they cannot change at run time.
    """

    source: SourceText
    params: Mapping[str, Any]
    on_missing: str = "last_known"
    fixed_params: set[str] = field(default_factory=set)
    reads_list: bool = False
    _depth: int = 0
    _weights: dict[int, tuple[Expr, int]] = field(default_factory=dict)

    @property
    def may_lack(self) -> bool:
        """Whether lists and parameters that are not there are NULL, instead of the engine refusing the rule."""
        return self.on_missing == "unknown"

    def refuse(self, message: str, node: exp.Expr, hint: str = "") -> RuleError:
        """An error at a node's place."""
        return RuleError(message, self.source, position(node), hint=hint)

    def check(self, node: exp.Expr, scope: Scope) -> Expr:
        """The checked expression.

        Raises:
            RuleError: a name is unknown, types do not fit, or the construct is not supported.
        """
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.refuse(f"expected at most {MAX_DEPTH} levels of nesting", node, "write it flatter")
        found = self._check(node, scope)
        self._depth -= 1
        if self._weight(found) > MAX_WEIGHT:
            raise self.refuse("this expression is too large", node, "CASE x, IN and BETWEEN repeat their first operand")
        return found

    def _check(self, node: exp.Expr, scope: Scope) -> Expr:
        kind = type(node)
        if kind in _COMPARE:
            return self._compared(_COMPARE[kind], node, self.check(node.this, scope), node.expression, scope)
        if kind in _ARITHMETIC:
            return self._arithmetic(node, scope)
        if kind is exp.Filter or is_aggregate(node):
            return aggregate(self, node, scope)
        if kind in (exp.First, exp.Last, exp.Anonymous):
            return self._named(node, scope)
        scalar = scalars.check_scalar(self, node, scope)
        if scalar is not None:
            return scalar
        method = getattr(self, f"_{kind.__name__.lower()}", None)
        if method is None:
            what = written(node)
            raise self.refuse(f"not supported: {what}", node, "see docs/rules.md for what a rule may say")
        result: Expr = method(node, scope)
        return result

    def _weight(self, expr: Expr) -> int:
        """Parts of an expression, shared ones counted each time."""
        known = self._weights.get(id(expr))
        if known is None:
            known = self._weights[id(expr)] = (expr, 1 + sum(self._weight(c) for c in children(expr)))
        return known[1]

    def fix(self, expr: Expr) -> Expr:
        """Note that a parameter's value became part of the plan."""
        if isinstance(expr, Param):
            self.fixed_params.add(expr.name)
        return expr

    def condition(self, node: exp.Expr, scope: Scope) -> Expr:
        """A checked expression that must be BOOLEAN."""
        checked = self.check(node, scope)
        if checked.type.kind not in {"BOOLEAN", "NULL"}:
            raise self.refuse(
                f"expected a condition in {scope.place}, got {checked.type}", node, "compare it with something"
            )
        return checked

    # one method for each kind of node, named after sqlglot's class

    def _column(self, node: exp.Expr, scope: Scope) -> Expr:
        pos = position(node)
        if isinstance(node.this, exp.Star):
            raise self.refuse("expected a column, got *", node)
        assert isinstance(node, exp.Column)
        names = [part.name for part in node.parts]
        try:
            if len(names) == 1:
                return scope.column(None, names[0], pos)
            found, rest = scope.column(names[0], names[1], pos), names[2:]
        except RuleError:
            row = self._row_column(names, pos, scope)
            if row is None:
                raise
            found, rest = row, names[1:]
        for name in rest:
            found = scalars.field(self, found, name, node)
        return found

    def _row_column(self, names: Sequence[str], pos: int, scope: Scope) -> Expr | None:
        """The ROW column that the first of ``names`` is, if it is one: address.country."""
        if len(names) == 1:
            return None
        try:
            found = scope.column(None, names[0], pos)
        except RuleError:
            return None
        return found if found.type.kind == "ROW" else None

    def _paren(self, node: exp.Expr, scope: Scope) -> Expr:
        return self.check(node.this, scope)

    def _literal(self, node: exp.Expr, _scope: Scope) -> Expr:
        if node.is_string:
            return Literal(node.this, STRING, position(node))
        value, type_ = number(node, self.source)
        return Literal(value, type_, position(node))

    def _boolean(self, node: exp.Expr, _scope: Scope) -> Expr:
        return Literal(bool(node.this), BOOLEAN, position(node))

    def _semantics(self, node: exp.Expr, scope: Scope) -> Expr:
        return semantics(self, node, scope)

    def _null(self, node: exp.Expr, _scope: Scope) -> Expr:
        return Literal(None, NULL, position(node))

    def _interval(self, node: exp.Expr, _scope: Scope) -> Expr:
        return Literal(interval(node, self.source), INTERVAL, position(node))

    def _placeholder(self, node: exp.Expr, _scope: Scope) -> Expr:
        name = str(node.this or "")
        if name not in self.params:
            raise RuleError(
                f"parameter :{name} is not in the front matter's params",
                self.source,
                position(node),
                length=len(name) + 1,
                hint=nearest(name, self.params) or "params: {name: value}",
            )
        value, type_ = self.params[name]
        return Param(name, value, type_, position(node))

    def _and(self, node: exp.Expr, scope: Scope) -> Expr:
        return self._logic("AND", node, scope)

    def _or(self, node: exp.Expr, scope: Scope) -> Expr:
        return self._logic("OR", node, scope)

    def _logic(self, op: str, node: exp.Expr, scope: Scope) -> Expr:
        args = tuple(self.condition(part, scope) for part in self._chain(node))
        return Call(op, args, BOOLEAN, any(a.nullable for a in args), args[0].pos)

    def _chain(self, node: exp.Expr) -> list[exp.Expr]:
        """The operands of a AND b AND c ..., which sqlglot nests to the left."""
        parts: list[exp.Expr] = []
        kind, at = type(node), node
        while type(at) is kind:
            parts.append(at.expression)
            at = at.this
        return [at, *reversed(parts)]

    def _not(self, node: exp.Expr, scope: Scope) -> Expr:
        arg = self.condition(node.this, scope)
        return Call("NOT", (arg,), BOOLEAN, arg.nullable, arg.pos)

    def _neg(self, node: exp.Expr, scope: Scope) -> Expr:
        arg = self.check(node.this, scope)
        if isinstance(arg, Literal) and arg.type.is_numeric:
            return Literal(-arg.value, arg.type, arg.pos)
        if arg.type != INTERVAL:
            self.expect(arg, "numeric", node, "-")
        call = Call("NEG", (arg,), arg.type, arg.nullable, arg.pos)
        return replace(call, nullable=True) if may_leave_type(call) else call

    def _is(self, node: exp.Expr, scope: Scope) -> Expr:
        arg = self.check(node.this, scope)
        if isinstance(node.expression, exp.Null):
            return Call("IS_NULL", (arg,), BOOLEAN, False, arg.pos)
        if isinstance(node.expression, exp.Boolean):
            arg = self.condition(node.this, scope)
            return Call("IS_TRUE" if node.expression.this else "IS_FALSE", (arg,), BOOLEAN, False, arg.pos)
        raise self.refuse("expected IS [NOT] NULL, TRUE or FALSE", node)

    def _nullsafeneq(self, node: exp.Expr, scope: Scope) -> Expr:
        left, right = self._comparable(node, scope, "IS DISTINCT FROM")
        return Call("DISTINCT", (left, right), BOOLEAN, False, left.pos)

    def _nullsafeeq(self, node: exp.Expr, scope: Scope) -> Expr:
        return Call("NOT", (self._nullsafeneq(node, scope),), BOOLEAN, False, position(node))

    def _between(self, node: exp.Expr, scope: Scope) -> Expr:
        scalars.only(self, node, "BETWEEN", "this", "low", "high")
        arg = self.check(node.this, scope)
        low = self._compared("GE", node, arg, node.args["low"], scope)
        high = self._compared("LE", node, arg, node.args["high"], scope)
        return Call("AND", (low, high), BOOLEAN, low.nullable or high.nullable, low.pos)

    def _in(self, node: exp.Expr, scope: Scope) -> Expr:
        if node.args.get("query") is not None or not node.expressions:
            raise self.refuse("expected a list of values after IN", node, "x IN ('a', 'b')")
        arg = self.check(node.this, scope)
        items = [self.check(item, scope) for item in node.expressions]
        for item, item_node in zip(items, node.expressions, strict=True):
            self.expect_comparable(arg, item, item_node, "IN")
        if all(isinstance(item, Literal) and item.value is not None for item in items):
            return Call("IN", (arg, *items), BOOLEAN, arg.nullable, arg.pos)
        parts = tuple(Call("EQ", (arg, i), BOOLEAN, arg.nullable or i.nullable, arg.pos) for i in items)
        return parts[0] if len(parts) == 1 else Call("OR", parts, BOOLEAN, any(p.nullable for p in parts), arg.pos)

    def _like(self, node: exp.Expr, scope: Scope, escape: str = "") -> Expr:
        arg = self.expect(self.check(node.this, scope), "STRING", node, "LIKE")
        pattern = self.check(node.expression, scope)
        if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
            raise self.refuse("expected a text constant after LIKE", node.expression)
        found = Call("LIKE", (arg, pattern, Literal(escape, STRING)), BOOLEAN, arg.nullable, arg.pos)
        # sqlglot has NOT LIKE as a flag, and NOT x LIKE as a node
        return Call("NOT", (found,), BOOLEAN, found.nullable, found.pos) if node.args.get("negate") else found

    def _escape(self, node: exp.Expr, scope: Scope) -> Expr:
        if not isinstance(node.this, exp.Like) or len(node.expression.name) != 1:
            raise self.refuse("expected LIKE '...' ESCAPE 'c' with one character", node)
        return self._like(node.this, scope, node.expression.name)

    def _case(self, node: exp.Expr, scope: Scope) -> Expr:
        args: list[Expr] = []
        operand = self.check(node.this, scope) if node.this is not None else None  # CASE x WHEN value
        for branch in node.args["ifs"]:
            args += [
                self._compared("EQ", branch, operand, branch.this, scope)
                if operand is not None
                else self.condition(branch.this, scope),
                self.check(branch.args["true"], scope),
            ]
        default = node.args.get("default")
        args.append(self.check(default, scope) if default is not None else Literal(None, NULL))
        results = [*args[1::2], args[-1]]
        return Call("CASE", tuple(args), self._common(results, node), any(r.nullable for r in results), position(node))

    def _if(self, node: exp.Expr, scope: Scope) -> Expr:
        return self._case(exp.Case(ifs=[node], default=node.args.get("false")), scope)

    def _coalesce(self, node: exp.Expr, scope: Scope) -> Expr:
        args = tuple(self.check(a, scope) for a in (node.this, *node.expressions))
        return Call("COALESCE", args, self._common(args, node), all(a.nullable for a in args), args[0].pos)

    def _nullif(self, node: exp.Expr, scope: Scope) -> Expr:
        left, right = self._comparable(node, scope, "NULLIF")
        return Call("NULLIF", (left, right), left.type, True, left.pos)

    def _greatest(self, node: exp.Expr, scope: Scope) -> Expr:
        args = tuple(self.check(a, scope) for a in (node.this, *node.expressions))
        op = "GREATEST" if isinstance(node, exp.Greatest) else "LEAST"
        return Call(op, args, self._common(args, node), any(a.nullable for a in args), args[0].pos)

    _least = _greatest

    def _dpipe(self, node: exp.Expr, scope: Scope) -> Expr:
        return self._concat_of(self._chain(node), scope)

    def _concat(self, node: exp.Expr, scope: Scope) -> Expr:
        return self._concat_of(node.expressions, scope)

    def _concat_of(self, nodes: Sequence[exp.Expr], scope: Scope) -> Expr:
        args = tuple(self.expect(self.check(n, scope), "STRING", n, "||") for n in nodes)
        return Call("CONCAT", args, STRING, any(a.nullable for a in args), args[0].pos)

    def _cast(self, node: exp.Expr, scope: Scope) -> Expr:
        scalars.only(self, node, "CAST", "this", "to")
        to = sql_type(node.args["to"], self.source)
        if isinstance(node.this, exp.Anonymous) and str(node.this.this).upper() == "PARAM":
            return param(self, node.this, scope, to)
        arg = self.check(node.this, scope)
        if not to.is_scalar or not arg.type.is_scalar or "INTERVAL" in (to.kind, arg.type.kind):
            raise self.refuse(f"cannot cast {arg.type} to {to}", node)
        if isinstance(arg, Literal) and arg.value is None:
            return Literal(None, to, arg.pos)
        if isinstance(arg, Literal) and isinstance(arg.value, str) and to.kind == "TIMESTAMP":
            return self._moment(arg, to, node)
        return Call("CAST", (arg,), to, True, arg.pos)

    _trycast = _cast

    def _moment(self, text: Literal, to: SqlType, node: exp.Expr) -> Expr:
        """TIMESTAMP '2026-05-01 12:00:00'."""
        try:
            return Literal(parse_time(text.value, to.time_unit), to, text.pos)
        except ValueError as error:
            raise self.refuse(str(error), node, "TIMESTAMP '2026-05-01 12:00:00' is in UTC") from None

    # helpers

    def _named(self, node: exp.Expr, scope: Scope) -> Expr:
        name = str(node.this).upper() if isinstance(node, exp.Anonymous) else type(node).__name__.upper()
        if isinstance(node, exp.Anonymous) and name in {"CLASSIFIER", "MATCH_NUMBER"}:
            return (classifier if name == "CLASSIFIER" else match_number)(self, node, scope)
        if name in {"FIRST", "LAST", "PREV", "NEXT"}:
            if not isinstance(scope, DefineScope | MeasureScope):
                raise self.refuse(f"{name} belongs into DEFINE or MEASURES of MATCH_RECOGNIZE", node)
            return navigation(self, name, node, scope)
        if name == "IN_LIST":
            return in_list(self, node, scope)
        if name == "PARAM":
            return param(self, node, scope, DOUBLE)
        if name == "TIMESTAMPDIFF":
            return scalars.timestampdiff(self, node, scope)
        close = nearest(name, scalars.NAMES)
        hint = close if close.startswith("did you mean") else "see docs/rules.md for the functions"
        raise self.refuse(f"function {name} is not supported", node, hint)

    def expect(self, arg: Expr, expected: str, node: exp.Expr, what: str) -> Expr:
        """The argument, if it is of the type that ``what`` takes (see :func:`m1cep.sql.types.fits`)."""
        if not fits(arg.type, expected):
            raise self.refuse(f"{what} expects {expected}, got {arg.type}", node, "CAST(x AS ...) converts")
        return arg

    def expect_comparable(
        self, left: Expr, right: Expr, node: exp.Expr, what: str, left_type: SqlType | None = None
    ) -> None:
        """Refuse two values that cannot be compared."""
        a = left_type or left.type
        if not comparable(a, right.type):
            hint = "CAST(x AS ...) converts; times compare with times, TIMESTAMP - TIMESTAMP with INTERVAL"
            raise self.refuse(f"cannot compare {a} {what} {right.type}", node, hint)

    def _compared(self, op: str, node: exp.Expr, left: Expr, right_node: exp.Expr, scope: Scope) -> Expr:
        right = self.check(right_node, scope)
        self.expect_comparable(left, right, node, _SIGNS[op])
        return Call(op, (left, right), BOOLEAN, left.nullable or right.nullable, left.pos)

    def _comparable(self, node: exp.Expr, scope: Scope, what: str) -> tuple[Expr, Expr]:
        left, right = self.check(node.this, scope), self.check(node.expression, scope)
        self.expect_comparable(left, right, node, what)
        return left, right

    def _arithmetic(self, node: exp.Expr, scope: Scope) -> Expr:
        """A + b - c ..., which sqlglot nests to the left."""
        spine: list[exp.Expr] = []
        at = node
        while type(at) in _ARITHMETIC:
            spine.append(at)
            at = at.this
        if len(spine) > MAX_TERMS:
            raise self.refuse(f"expected at most {MAX_TERMS} operators in a row", node)
        found = self.check(at, scope)
        for part in reversed(spine):
            op, right = _ARITHMETIC[type(part)], self.check(part.expression, scope)
            type_ = arithmetic(op, found.type, right.type)
            if type_ is None:
                sign = {"ADD": "+", "SUB": "-", "MUL": "*", "DIV": "/", "MOD": "%"}[op]
                raise self.refuse(f"cannot compute {found.type} {sign} {right.type}", part, "CAST(x AS ...) converts")
            call = Call(op, (found, right), type_, found.nullable or right.nullable, found.pos)
            found = replace(call, nullable=True) if op in {"DIV", "MOD"} or may_leave_type(call) else call
        return found

    def _common(self, args: Sequence[Expr], node: exp.Expr) -> SqlType:
        found = common(a.type for a in args)
        if isinstance(found, tuple):
            raise self.refuse(
                f"expected values of one type, got {found[0]} and {found[1]}", node, "CAST(x AS ...) converts"
            )
        return found
