"""SQL expressions to checked expressions: names resolved, types compared, what is unknown refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from m1cep.errors import RuleError
from m1cep.model.types import BIGINT, BOOLEAN, DOUBLE, INTERVAL, NULL, STRING, SqlType
from m1cep.plan.ir import Call, Expr, Literal, Param
from m1cep.sql.dialect import position
from m1cep.sql.literals import interval, number, sql_type
from m1cep.sql.navigation import AGGREGATES, aggregate, classifier, match_number, navigation, semantics
from m1cep.sql.scope import DefineScope, MeasureScope, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.errors import SourceText
    from m1cep.sql.scope import Scope

_COMPARE = {exp.EQ: "EQ", exp.NEQ: "NE", exp.LT: "LT", exp.LTE: "LE", exp.GT: "GT", exp.GTE: "GE"}
_ARITHMETIC = {exp.Add: "ADD", exp.Sub: "SUB", exp.Mul: "MUL", exp.Div: "DIV", exp.Mod: "MOD"}
# class: (operator, argument names, expected kind of the arguments, type of the result or None for the argument's)
_FUNCTIONS: dict[type[exp.Expr], tuple[str, tuple[str, ...], str, SqlType | None]] = {
    exp.Abs: ("ABS", ("this",), "numeric", None),
    exp.Ceil: ("CEIL", ("this",), "numeric", None),
    exp.Floor: ("FLOOR", ("this",), "numeric", None),
    exp.Ln: ("LN", ("this",), "numeric", DOUBLE),
    exp.Exp: ("EXP", ("this",), "numeric", DOUBLE),
    exp.Sqrt: ("SQRT", ("this",), "numeric", DOUBLE),
    exp.Pow: ("POWER", ("this", "expression"), "numeric", DOUBLE),
    exp.Upper: ("UPPER", ("this",), "STRING", STRING),
    exp.Lower: ("LOWER", ("this",), "STRING", STRING),
    exp.Trim: ("TRIM", ("this",), "STRING", STRING),
    exp.Length: ("LENGTH", ("this",), "STRING", BIGINT),
}
_MAY_BE_NULL = frozenset({"DIV", "MOD", "LN", "SQRT", "POWER", "EXP"})  # outside their domain they are NULL


@dataclass
class ExpressionChecker:
    """Checks the expressions of one rule. ``params`` are the front matter's."""

    source: SourceText
    params: Mapping[str, Any]

    def refuse(self, message: str, node: exp.Expr, hint: str = "") -> RuleError:
        """An error at a node's place."""
        return RuleError(message, self.source, position(node), hint=hint)

    def check(self, node: exp.Expr, scope: Scope) -> Expr:
        """The checked expression.

        Raises:
            RuleError: a name is unknown, types do not fit, or the construct is not supported.
        """
        kind = type(node)
        if kind in _COMPARE:
            return self._comparison(_COMPARE[kind], node, scope)
        if kind in _ARITHMETIC:
            return self._arithmetic(_ARITHMETIC[kind], node, scope)
        if kind in _FUNCTIONS:
            return self._function(node, scope)
        if kind in AGGREGATES or kind is exp.Filter:
            return aggregate(self, node, scope)
        if kind in (exp.First, exp.Last, exp.Anonymous):
            return self._named(node, scope)
        method = getattr(self, f"_{kind.__name__.lower()}", None)
        if method is None:
            what = node.sql(dialect="trino")[:60]
            raise self.refuse(f"not supported: {what}", node, "see docs/rules.md for what a rule may say")
        result: Expr = method(node, scope)
        return result

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
        if node.args.get("db") is not None:
            raise self.refuse("expected column or variable.column", node, "fields of ROW columns are not supported yet")
        return scope.column(node.args["table"].name if node.args.get("table") else None, node.name, pos)

    def _paren(self, node: exp.Expr, scope: Scope) -> Expr:
        return self.check(node.this, scope)

    def _literal(self, node: exp.Expr, _scope: Scope) -> Expr:
        if node.is_string:
            return Literal(node.this, STRING, position(node))
        value, type_ = number(node.this)
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
                max(0, self.source.text.find(f":{name}")),  # sqlglot keeps no position of placeholders
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
        args = (self.condition(node.this, scope), self.condition(node.expression, scope))
        return Call(op, args, BOOLEAN, any(a.nullable for a in args), args[0].pos)

    def _not(self, node: exp.Expr, scope: Scope) -> Expr:
        arg = self.condition(node.this, scope)
        return Call("NOT", (arg,), BOOLEAN, arg.nullable, arg.pos)

    def _neg(self, node: exp.Expr, scope: Scope) -> Expr:
        arg = self.check(node.this, scope)
        if isinstance(arg, Literal) and arg.type.is_numeric:
            return Literal(-arg.value, arg.type, arg.pos)
        if arg.type.kind != "INTERVAL":
            self._expect(arg, "numeric", node, "-")
        return Call("NEG", (arg,), arg.type, arg.nullable, arg.pos)

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
        low = self._compared("GE", node, node.this, node.args["low"], scope)
        high = self._compared("LE", node, node.this, node.args["high"], scope)
        return Call("AND", (low, high), BOOLEAN, low.nullable or high.nullable, low.pos)

    def _in(self, node: exp.Expr, scope: Scope) -> Expr:
        if node.args.get("query") is not None or not node.expressions:
            raise self.refuse("expected a list of values after IN", node, "x IN ('a', 'b')")
        arg = self.check(node.this, scope)
        items = [self.check(item, scope) for item in node.expressions]
        for item, item_node in zip(items, node.expressions, strict=True):
            self._check_comparable(arg, item, item_node, "IN")
        if all(isinstance(item, Literal) and item.value is not None for item in items):
            return Call("IN", (arg, *items), BOOLEAN, arg.nullable, arg.pos)
        parts = tuple(Call("EQ", (arg, i), BOOLEAN, arg.nullable or i.nullable, arg.pos) for i in items)
        return parts[0] if len(parts) == 1 else Call("OR", parts, BOOLEAN, any(p.nullable for p in parts), arg.pos)

    def _like(self, node: exp.Expr, scope: Scope, escape: str = "") -> Expr:
        arg = self._expect(self.check(node.this, scope), "STRING", node, "LIKE")
        pattern = self.check(node.expression, scope)
        if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
            raise self.refuse("expected a text constant after LIKE", node.expression)
        return Call("LIKE", (arg, pattern, Literal(escape, STRING)), BOOLEAN, arg.nullable, arg.pos)

    def _escape(self, node: exp.Expr, scope: Scope) -> Expr:
        if not isinstance(node.this, exp.Like) or len(node.expression.name) != 1:
            raise self.refuse("expected LIKE '...' ESCAPE 'c' with one character", node)
        return self._like(node.this, scope, node.expression.name)

    def _case(self, node: exp.Expr, scope: Scope) -> Expr:
        args: list[Expr] = []
        for branch in node.args["ifs"]:
            simple = node.this is not None  # CASE x WHEN value
            args += [
                self._compared("EQ", branch, node.this, branch.this, scope)
                if simple
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
        return self._concat_of((node.this, node.expression), scope)

    def _concat(self, node: exp.Expr, scope: Scope) -> Expr:
        return self._concat_of(tuple(node.expressions), scope)

    def _concat_of(self, nodes: tuple[exp.Expr, ...], scope: Scope) -> Expr:
        args = tuple(self._expect(self.check(n, scope), "STRING", n, "||") for n in nodes)
        return Call("CONCAT", args, STRING, any(a.nullable for a in args), args[0].pos)

    def _substring(self, node: exp.Expr, scope: Scope) -> Expr:
        numbers = [node.args[n] for n in ("start", "length") if node.args.get(n) is not None]
        args = [self._expect(self.check(node.this, scope), "STRING", node, "SUBSTRING")]
        args += [self._expect(self.check(n, scope), "integer", node, "SUBSTRING") for n in numbers]
        return Call("SUBSTRING", tuple(args), STRING, any(a.nullable for a in args), args[0].pos)

    def _round(self, node: exp.Expr, scope: Scope) -> Expr:
        arg = self._expect(self.check(node.this, scope), "numeric", node, "ROUND")
        digits = node.args.get("decimals")
        places = (
            self._expect(self.check(digits, scope), "integer", node, "ROUND")
            if digits is not None
            else Literal(0, BIGINT)
        )
        return Call("ROUND", (arg, places), arg.type, arg.nullable or places.nullable, arg.pos)

    def _extract(self, node: exp.Expr, scope: Scope) -> Expr:
        arg = self._expect(self.check(node.expression, scope), "TIMESTAMP", node, "EXTRACT")
        part = node.name.upper()
        parts = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND", "DOW", "DAYOFWEEK", "EPOCH")
        if part not in parts:
            raise self.refuse(f"EXTRACT does not know {part}", node, nearest(part, parts))
        return Call("EXTRACT", (Literal(part, STRING), arg), BIGINT, arg.nullable, arg.pos)

    def _cast(self, node: exp.Expr, scope: Scope) -> Expr:
        arg = self.check(node.this, scope)
        to = sql_type(node.args["to"], self.source)
        if isinstance(arg, Literal) and arg.value is None:
            return Literal(None, to, arg.pos)
        if not to.is_scalar or to.kind == "INTERVAL" or not arg.type.is_scalar:
            raise self.refuse(f"cannot cast {arg.type} to {to}", node)
        return Call("CAST", (arg,), to, True, arg.pos)

    _trycast = _cast

    # helpers

    def _named(self, node: exp.Expr, scope: Scope) -> Expr:
        name = str(node.this).upper() if isinstance(node, exp.Anonymous) else type(node).__name__.upper()
        if isinstance(node, exp.Anonymous) and name in {"CLASSIFIER", "MATCH_NUMBER"}:
            return (classifier if name == "CLASSIFIER" else match_number)(self, node, scope)
        if name in {"FIRST", "LAST", "PREV", "NEXT"}:
            if not isinstance(scope, DefineScope | MeasureScope):
                raise self.refuse(f"{name} belongs into DEFINE or MEASURES of MATCH_RECOGNIZE", node)
            return navigation(self, name, node, scope)
        later = {"IN_LIST", "PARAM"}
        hint = (
            "it is part of the language and not built yet" if name in later else "see docs/rules.md for the functions"
        )
        raise self.refuse(f"function {name} is not supported", node, hint)

    def _function(self, node: exp.Expr, scope: Scope) -> Expr:
        op, names, expected, type_ = _FUNCTIONS[type(node)]
        args = tuple(self._expect(self.check(node.args[n], scope), expected, node, op) for n in names)
        nullable = op in _MAY_BE_NULL or any(a.nullable for a in args)
        return Call(op, args, type_ or args[0].type, nullable, position(node))

    def _expect(self, arg: Expr, expected: str, node: exp.Expr, what: str) -> Expr:
        fits = {"numeric": arg.type.is_numeric, "integer": arg.type.is_integer}.get(expected, arg.type.kind == expected)
        if not fits and arg.type.kind != "NULL":
            raise self.refuse(f"{what} expects {expected}, got {arg.type}", node, "CAST(x AS ...) converts")
        return arg

    def _comparison(self, op: str, node: exp.Expr, scope: Scope) -> Expr:
        return self._compared(op, node, node.this, node.expression, scope)

    def _compared(self, op: str, node: exp.Expr, a: exp.Expr, b: exp.Expr, scope: Scope) -> Expr:
        left, right = self.check(a, scope), self.check(b, scope)
        self._check_comparable(
            left, right, node, {"EQ": "=", "NE": "<>", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}[op]
        )
        return Call(op, (left, right), BOOLEAN, left.nullable or right.nullable, left.pos)

    def _comparable(self, node: exp.Expr, scope: Scope, what: str) -> tuple[Expr, Expr]:
        left, right = self.check(node.this, scope), self.check(node.expression, scope)
        self._check_comparable(left, right, node, what)
        return left, right

    def _check_comparable(self, left: Expr, right: Expr, node: exp.Expr, what: str) -> None:
        a, b = left.type, right.type
        if "NULL" in (a.kind, b.kind) or (a.is_numeric and b.is_numeric) or (a.kind == b.kind and a.is_scalar):
            return
        hint = "CAST(x AS ...) converts; times compare with times, TIMESTAMP - TIMESTAMP with INTERVAL"
        raise self.refuse(f"cannot compare {a} {what} {b}", node, hint)

    def _arithmetic(self, op: str, node: exp.Expr, scope: Scope) -> Expr:
        left, right = self.check(node.this, scope), self.check(node.expression, scope)
        type_ = _result(op, left.type, right.type)
        if type_ is None:
            sign = {"ADD": "+", "SUB": "-", "MUL": "*", "DIV": "/", "MOD": "%"}[op]
            raise self.refuse(f"cannot compute {left.type} {sign} {right.type}", node, "CAST(x AS ...) converts")
        return Call(op, (left, right), type_, op in _MAY_BE_NULL or left.nullable or right.nullable, left.pos)

    def _common(self, args: tuple[Expr, ...] | list[Expr], node: exp.Expr) -> SqlType:
        found = NULL
        for arg in args:
            if arg.type.kind == "NULL" or arg.type == found:
                continue
            if found.kind == "NULL":
                found = arg.type
            elif found.is_numeric and arg.type.is_numeric:
                found = _wider(found, arg.type)
            elif found.kind != arg.type.kind:
                raise self.refuse(
                    f"expected values of one type, got {found} and {arg.type}", node, "CAST(x AS ...) converts"
                )
        return found


def _wider(a: SqlType, b: SqlType) -> SqlType:
    for kind in ("DOUBLE", "DECIMAL", "BIGINT"):
        for t in (a, b):
            if t.kind == kind:
                return t
    return a


def _result(op: str, a: SqlType, b: SqlType) -> SqlType | None:
    """The type of an arithmetic operation, or None where there is none."""
    if a.kind == "NULL" or b.kind == "NULL":
        return b if a.kind == "NULL" else a
    if a.is_numeric and b.is_numeric:
        wider = _wider(a, b)
        return BIGINT if wider.kind == "INT" and op != "MOD" else wider
    pair = (a.kind, b.kind)
    if op == "SUB" and pair == ("TIMESTAMP", "TIMESTAMP"):
        return INTERVAL
    if op in {"ADD", "SUB"} and pair == ("TIMESTAMP", "INTERVAL"):
        return a
    if op == "ADD" and pair == ("INTERVAL", "TIMESTAMP"):
        return b
    if op in {"ADD", "SUB"} and pair == ("INTERVAL", "INTERVAL"):
        return INTERVAL
    if (op == "MUL" and "INTERVAL" in pair and (a.is_integer or b.is_integer)) or (
        op == "DIV" and a.kind == "INTERVAL" and b.is_integer
    ):
        return INTERVAL
    return None
