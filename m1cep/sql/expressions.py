"""SQL expressions to checked expressions: names resolved, types compared, what is unknown refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from sqlglot import exp

from m1cep.errors import RuleError, nearest
from m1cep.model.time import parse_time
from m1cep.model.types import BOOLEAN, DOUBLE, INTERVAL, NULL, STRING, SqlType
from m1cep.plan.ir import Call, Expr, Literal, Param, children, may_leave_type
from m1cep.sql import scalars
from m1cep.sql.aggregates import is_aggregate
from m1cep.sql.arguments import only
from m1cep.sql.choices import CHOICES
from m1cep.sql.conditions import CONDITIONS, chain
from m1cep.sql.literals import interval, number, sql_type
from m1cep.sql.lookups import in_list, param
from m1cep.sql.moments import timestampdiff
from m1cep.sql.navigation import aggregate, classifier, match_number, navigation, semantics
from m1cep.sql.nodes import Semantics, position, written
from m1cep.sql.scope import DefineScope, MeasureScope
from m1cep.sql.types import arithmetic, comparable, fits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from m1cep.errors import SourceText
    from m1cep.sql.arguments import Check
    from m1cep.sql.scope import Scope

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
        if kind is exp.Filter or is_aggregate(node):
            return aggregate(self, node, scope)
        check = self._checks.get(kind)
        found = scalars.check_scalar(self, node, scope) if check is None else check(self, node, scope)
        if found is None:
            raise self.refuse(f"not supported: {written(node)}", node, "see docs/rules.md for what a rule may say")
        return found

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

    # one method for each kind of node that is in no other module, see ``_checks``

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

    def _neg(self, node: exp.Expr, scope: Scope) -> Expr:
        arg = self.check(node.this, scope)
        if isinstance(arg, Literal) and arg.type.is_numeric:
            return Literal(-arg.value, arg.type, arg.pos)
        if arg.type != INTERVAL:
            self.expect(arg, "numeric", node, "-")
        call = Call("NEG", (arg,), arg.type, arg.nullable, arg.pos)
        return replace(call, nullable=True) if may_leave_type(call) else call

    def _dpipe(self, node: exp.Expr, scope: Scope) -> Expr:
        return self._concat_of(chain(node), scope)

    def _concat(self, node: exp.Expr, scope: Scope) -> Expr:
        return self._concat_of(node.expressions, scope)

    def _concat_of(self, nodes: Sequence[exp.Expr], scope: Scope) -> Expr:
        args = tuple(self.expect(self.check(n, scope), "STRING", n, "||") for n in nodes)
        return Call("CONCAT", args, STRING, any(a.nullable for a in args), args[0].pos)

    def _cast(self, node: exp.Expr, scope: Scope) -> Expr:
        only(self, node, "CAST", "this", "to")
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
            return timestampdiff(self, node, scope)
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

    _checks: ClassVar[dict[type[exp.Expr], Check]] = {
        **CONDITIONS,
        **CHOICES,
        **dict.fromkeys(_ARITHMETIC, _arithmetic),
        exp.Column: _column,
        exp.Paren: _paren,
        exp.Literal: _literal,
        exp.Boolean: _boolean,
        exp.Null: _null,
        exp.Interval: _interval,
        exp.Placeholder: _placeholder,
        Semantics: semantics,
        exp.Neg: _neg,
        exp.DPipe: _dpipe,
        exp.Concat: _concat,
        exp.Cast: _cast,
        exp.TryCast: _cast,
        **dict.fromkeys((exp.First, exp.Last, exp.Anonymous), _named),
    }
