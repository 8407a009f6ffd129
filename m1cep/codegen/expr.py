"""Checked expressions to Python source, with SQL's three-valued logic.

Three ways to write a condition: ``value`` gives True, False or None; ``truth`` is truthy where SQL says TRUE; ``falsity`` where
it says FALSE. Conditions are only ever asked for their truth, so NULL costs nothing but a guard, and nothing at all for
columns that are NOT NULL.

    >>> from m1cep.plan.ir import Call, Col, Literal
    >>> from m1cep.model.types import BOOLEAN, DOUBLE, BIGINT
    >>> price = Col("price", "price", DOUBLE, nullable=True)
    >>> ExprWriter().truth(Call("GT", (price, Literal(5, BIGINT)), BOOLEAN, True))
    '(r.price is not None and r.price > 5)'
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from m1cep.codegen.patterns import like_regex
from m1cep.model.types import US_PER_UNIT, SqlType
from m1cep.plan.ir import Call, Col, Expr, Literal, Param

if TYPE_CHECKING:
    from collections.abc import Callable

_COMPARE = {"EQ": "==", "NE": "!=", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}
_NEGATED = {"EQ": "!=", "NE": "==", "LT": ">=", "LE": ">", "GT": "<=", "GE": "<"}
_INFIX = {"ADD": "+", "SUB": "-", "MUL": "*"}


class ExprWriter:
    """Writes expressions over a row ``row``; ``leaf`` writes Nav, Agg, Prev and what else has a place of its own.

    Attributes:
        constants: objects that the source refers to by name (compiled patterns, sets); to be put into its namespace.
    """

    def __init__(self, row: str = "r", leaf: Callable[[Expr], str | None] | None = None) -> None:
        self.row = row
        self._leaf = leaf or (lambda _expr: None)
        self.constants: dict[str, Any] = {}
        self._temps = 0

    def constant(self, value: Any) -> str:
        """A name for an object."""
        for name, known in self.constants.items():
            if type(known) is type(value) and known == value:
                return name
        name = f"K{len(self.constants)}"
        self.constants[name] = value
        return name

    def value(self, e: Expr) -> str:
        """Source of the value, None for NULL."""
        own = self._leaf(e)
        if own is not None:
            return own
        match e:
            case Literal(value=value):
                return self._literal(value)
            case Param():
                return self._literal(e.value)
            case Col():
                return f"{self.row}.{e.attr}"
            case Call():
                return self._call(e)
            case _:
                msg = f"{e} has no place to stand in"
                raise AssertionError(msg)

    def truth(self, e: Expr) -> str:
        """Source that is truthy exactly where the condition is TRUE."""
        return self._decide(e, wanted=True)

    def falsity(self, e: Expr) -> str:
        """Source that is truthy exactly where the condition is FALSE."""
        return self._decide(e, wanted=False)

    def _decide(self, e: Expr, *, wanted: bool) -> str:
        if not isinstance(e, Call) or self._leaf(e) is not None:
            if isinstance(e, Literal):
                return str(e.value is wanted)
            source = self.value(e)
            return f"{source} is {wanted}" if e.nullable else (source if wanted else f"not {source}")
        op, args = e.op, e.args
        if op == "NOT":
            return self._decide(args[0], wanted=not wanted)
        if op in {"AND", "OR"}:
            word = " and " if (op == "AND") is wanted else " or "
            return "(" + word.join(self._decide(a, wanted=wanted) for a in args) + ")"
        if op in _COMPARE:
            sign = (_COMPARE if wanted else _NEGATED)[op]
            guards, (left, right) = self._operands(args, compared=True)
            return "(" + " and ".join([*guards, f"{left} {sign} {right}"]) + ")"
        if op in {"IN", "LIKE"}:
            guards, body = self._membership(e)
            return "(" + " and ".join([*guards, body if wanted else f"not {body}"]) + ")"
        if not e.nullable:
            return self.value(e) if wanted else f"not {self.value(e)}"
        return f"({self.value(e)} is {wanted})"

    # values

    def _literal(self, value: Any) -> str:
        return self.constant(value) if isinstance(value, Decimal) else repr(value)

    def _temp(self) -> str:
        self._temps += 1
        return f"_{self._temps}"

    def _operands(self, args: tuple[Expr, ...], *, compared: bool = False) -> tuple[list[str], list[str]]:
        """Guards that say no operand is NULL, and the operands, brought to one type."""
        guards: list[str] = []
        sources: list[str] = []
        for arg in args:
            source = self.value(arg)
            if arg.nullable:
                if source.replace(".", "").replace("_", "").isalnum():
                    guards.append(f"{source} is not None")
                else:
                    temp = self._temp()
                    guards.append(f"({temp} := {source}) is not None")
                    source = temp
            sources.append(source)
        return guards, self._unify(args, sources, compared=compared)

    def _unify(self, args: tuple[Expr, ...], sources: list[str], *, compared: bool) -> list[str]:
        kinds = {a.type.kind for a in args}
        if "DECIMAL" in kinds and "DOUBLE" in kinds:  # DOUBLE wins, as in SQL
            return [self._to_double(a, s) for a, s in zip(args, sources, strict=True)]
        units = {a.type.time_unit for a in args if a.type.kind == "TIMESTAMP"}
        if compared and len(units) > 1:
            return [s if a.type.time_unit == "us" else f"{s} * 1000" for a, s in zip(args, sources, strict=True)]
        return sources

    def _to_double(self, arg: Expr, source: str) -> str:
        if arg.type.kind != "DECIMAL":
            return source
        return repr(float(arg.value)) if isinstance(arg, Literal | Param) else f"float({source})"

    def _call(self, e: Call) -> str:
        op, args = e.op, e.args
        if op in {"AND", "OR", "NOT", "IN", "LIKE", *_COMPARE}:
            if not e.nullable:
                return self.truth(e)
            return f"(True if {self.truth(e)} else False if {self.falsity(e)} else None)"
        match op:
            case "IS_NULL":
                return f"({self.value(args[0])} is None)"
            case "IS_TRUE":
                return f"bool({self.truth(args[0])})"
            case "IS_FALSE":
                return f"bool({self.falsity(args[0])})"
            case "DISTINCT":
                left, right = self._unify(args, [self.value(a) for a in args], compared=True)
                return f"({left} != {right})"
            case "CASE":
                return self._case(e)
            case "COALESCE":
                return self._coalesce(e)
            case "NULLIF":
                return f"nullif({self.value(args[0])}, {self.value(args[1])})"
        guards, sources = self._operands(args)
        body = self._body(e, sources)
        return f"({body} if {' and '.join(guards)} else None)" if guards else body

    def _case(self, e: Call) -> str:
        *branches, default = e.args
        parts = [
            f"{self._as(result, e.type)} if {self.truth(condition)} else "
            for condition, result in zip(branches[::2], branches[1::2], strict=True)
        ]
        return "(" + "".join(parts) + self._as(default, e.type) + ")"

    def _as(self, arg: Expr, type_: SqlType) -> str:
        source = self.value(arg)
        if type_.kind == "DOUBLE" and arg.type.kind == "DECIMAL":
            return repr(float(arg.value)) if isinstance(arg, Literal | Param) else f"to_double({source})"
        return source

    def _coalesce(self, e: Call) -> str:
        source = self._as(e.args[-1], e.type)
        for arg in reversed(e.args[:-1]):
            temp = self._temp()
            source = f"({temp} if ({temp} := {self._as(arg, e.type)}) is not None else {source})"
        return source

    def _membership(self, e: Call) -> tuple[list[str], str]:
        if e.op == "LIKE":
            _, pattern, escape = e.args
            assert isinstance(pattern, Literal)
            assert isinstance(escape, Literal)
            guards, (source,) = self._operands(e.args[:1])
            matches = self.constant(like_regex(pattern.value, escape.value).fullmatch)
            return guards, f"({matches}({source}) is not None)"
        guards, (source,) = self._operands(e.args[:1])
        double = e.args[0].type.kind == "DOUBLE"
        items = [a.value for a in e.args[1:] if isinstance(a, Literal)]
        return guards, f"({source} in {self.constant(frozenset(float(i) if double else i for i in items))})"

    def _body(self, e: Call, s: list[str]) -> str:
        """An operator on operands that are not NULL."""
        op, kinds = e.op, [a.type.kind for a in e.args]
        if op in _INFIX:
            return self._infix(e, s)
        match op:
            case "NEG":
                return f"(-{s[0]})"
            case "DIV":
                integer = all(a.type.is_integer for a in e.args) or kinds[0] == "INTERVAL"
                return f"{'div_int' if integer else 'div'}({s[0]}, {s[1]})"
            case "MOD":
                return f"mod({s[0]}, {s[1]})"
            case "CONCAT":
                return "(" + " + ".join(s) + ")"
            case "GREATEST":
                return f"max({', '.join(s)})"
            case "LEAST":
                return f"min({', '.join(s)})"
            case "ABS":
                return f"abs({s[0]})"
            case "CAST":
                units = f"{e.args[0].type.time_unit!r}, {e.type.time_unit!r}"
                return f"cast({s[0]}, {kinds[0]!r}, {e.type.kind!r}, {units}, {e.type.scale!r})"
            case "EXTRACT":
                return f"extract({s[0]}, {s[1]}, {e.args[1].type.time_unit!r})"
        return f"{op.lower()}({', '.join(s)})"

    def _infix(self, e: Call, s: list[str]) -> str:
        (a, b), sign = e.args, _INFIX[e.op]
        kinds = (a.type.kind, b.type.kind)
        if kinds == ("TIMESTAMP", "TIMESTAMP"):  # an INTERVAL in microseconds
            left, right = (f"{x} * 1000" if t.type.time_unit == "ms" else x for x, t in zip(s, (a, b), strict=True))
            if a.type.time_unit == b.type.time_unit == "ms":
                return f"(({s[0]} - {s[1]}) * 1000)"
            return f"({left} - {right})"
        if "TIMESTAMP" in kinds and "INTERVAL" in kinds:
            per_unit = US_PER_UNIT[e.type.time_unit]
            left, right = (
                f"{x} // {per_unit}" if k == "INTERVAL" and per_unit > 1 else x for x, k in zip(s, kinds, strict=True)
            )
            return f"({left} {sign} {right})"
        return f"({s[0]} {sign} {s[1]})"
