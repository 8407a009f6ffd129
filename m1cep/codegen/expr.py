"""Checked expressions to Python source, with SQL's three-valued logic.

Three ways to write a condition: ``value`` gives True, False or None; ``truth`` is truthy where SQL says TRUE; ``falsity`` where
it says FALSE. Conditions are only ever asked for their truth, so NULL costs nothing but a guard, and nothing at all for
columns that are NOT NULL.

Arithmetic that leaves its type is NULL. A chain of + - * is computed through and its end looked at: in a comparison by one
bound more on the side where it could be beyond ("5 < r.price * r.qty <= MAX_DOUBLE"), elsewhere by both.

    >>> from m1cep.plan.ir import Call, Col, Literal
    >>> from m1cep.model.types import BOOLEAN, DOUBLE, BIGINT
    >>> price = Col("price", "price", DOUBLE, nullable=True)
    >>> ExprWriter().truth(Call("GT", (price, Literal(5, BIGINT)), BOOLEAN, True))
    '(r.price is not None and r.price > 5)'
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from m1cep.codegen import calls
from m1cep.codegen.calls import bounds, guarded
from m1cep.codegen.common import identifier
from m1cep.plan.ir import Call, Col, Expr, Literal, Param, may_leave_type
from m1cep.runtime.lookups import Binding

if TYPE_CHECKING:
    from collections.abc import Callable

_COMPARE = {"EQ": "==", "NE": "!=", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}
_NEGATED = {"EQ": "NE", "NE": "EQ", "LT": "GE", "LE": "GT", "GT": "LE", "GE": "LT"}
_MIRRORED = {"GT": "<", "GE": "<="}
_WIDTH = {"INT": 0, "BIGINT": 1, "DECIMAL": 2, "DOUBLE": 3}  # whose values lie within whose
MAX_WRITES = 100_000  # expressions of one rule


class TooComplexError(Exception):
    """The source of an expression would be too long."""


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
        self._writes = 0

    def constant(self, value: Any) -> str:
        """A name for an object."""
        for name, known in self.constants.items():
            if type(known) is type(value) and known == value:
                return name
        name = f"K{len(self.constants)}"
        self.constants[name] = value
        return name

    def bind(self, name: str, binding: Binding) -> str:
        """A name for a value that the engine supplies."""
        self.constants[name] = binding
        return name

    def value(self, e: Expr) -> str:
        """Source of the value, None for NULL."""
        self._count()
        own = self._leaf(e)
        if own is not None:
            return self._closed(e, [], own) if may_leave_type(e) else own
        match e:
            case Literal(value=value):
                return self.literal(value)
            case Param():
                return self.bind(f"p_{identifier(e.name)}", Binding("value", e.name, e.type, e.value))
            case Col():
                return f"{self.row}.{e.attr}"
            case Call():
                return self._call(e)
            case _:
                msg = f"{e} has no place to stand in"
                raise AssertionError(msg)

    def _count(self) -> None:
        self._writes += 1
        if self._writes > MAX_WRITES:
            raise TooComplexError

    def truth(self, e: Expr) -> str:
        """Source that is truthy exactly where the condition is TRUE."""
        return self._decide(e, wanted=True)

    def falsity(self, e: Expr) -> str:
        """Source that is truthy exactly where the condition is FALSE."""
        return self._decide(e, wanted=False)

    def _decide(self, e: Expr, *, wanted: bool) -> str:
        self._count()
        if not isinstance(e, Call) or self._leaf(e) is not None:
            if isinstance(e, Literal):
                return str(e.value is wanted)
            source = self.value(e)
            return f"({source} is {wanted})" if e.nullable else (source if wanted else f"(not {source})")
        op, args = e.op, e.args
        if op == "NOT":
            return self._decide(args[0], wanted=not wanted)
        if op in {"AND", "OR"}:
            word = " and " if (op == "AND") is wanted else " or "
            return "(" + word.join(self._decide(a, wanted=wanted) for a in args) + ")"
        if op in _COMPARE:
            return self.comparison(op if wanted else _NEGATED[op], args)
        if op in {"IN", "LIKE", "IN_LIST"}:
            guards, body = calls.membership(self, e, wanted=wanted)
            return "(" + " and ".join([*guards, body]) + ")"
        if not e.nullable:
            return self.value(e) if wanted else f"(not {self.value(e)})"
        return f"({self.value(e)} is {wanted})"

    def comparison(self, op: str, args: tuple[Expr, ...]) -> str:
        mixed = self.mixed(args)
        guards: list[str] = []
        left, right = sources = [self.operand(a, guards, through=not mixed) for a in args]
        open_ = [not mixed and may_leave_type(a) for a in args]
        if not any(open_):
            left, right = self._unify(args, sources)
            return "(" + " and ".join([*guards, f"{left} {_COMPARE[op]} {right}"]) + ")"
        ends = [bounds(a.type) for a in args]
        for n in (0, 1):
            # only a value of as narrow a type on the other side bounds this one as well
            narrower = _WIDTH.get(args[n].type.kind, 1) < _WIDTH.get(args[1 - n].type.kind, 1)
            if open_[n] and (op == "NE" or narrower):
                temp = self.temp()
                guards.append(f"{ends[n][0]} <= ({temp} := {sources[n]}) <= {ends[n][1]}")
                sources[n], open_[n] = temp, False
        if op in _MIRRORED:  # the lesser first: "0 < a * b <= MAX_DOUBLE" leaves when the first comparison fails
            sources.reverse()
            ends.reverse()
            open_.reverse()
        parts = [f"{sources[0]} {_MIRRORED.get(op, _COMPARE[op])} {sources[1]}"]
        # equal to a value within its type is within it: both ends matter only where both sides may be beyond
        if open_[0] and (op != "EQ" or open_[1]):
            parts.insert(0, f"{ends[0][0]} <= ")
        if open_[1] and (op != "EQ" or open_[0]):
            parts.append(f" <= {ends[1][1]}")
        return "(" + " and ".join([*guards, "".join(parts)]) + ")"

    # values

    def literal(self, value: Any) -> str:
        return self.constant(value) if isinstance(value, Decimal) else repr(value)

    def temp(self) -> str:
        self._temps += 1
        return f"_{self._temps}"

    def operands(self, args: tuple[Expr, ...]) -> tuple[list[str], list[str]]:
        """Guards that say no operand is NULL, and the operands, brought to one type."""
        guards: list[str] = []
        sources = [self.operand(arg, guards) for arg in args]
        return guards, self._unify(args, sources)

    def operand(self, arg: Expr, guards: list[str], *, through: bool = False) -> str:
        """An operand that is not NULL once the guards hold; ``through``: it may be beyond its type."""
        if through and isinstance(arg, Call) and may_leave_type(arg) and self._leaf(arg) is None:
            self._count()
            return self._chain(arg, guards)
        source = self._leaf(arg) if through and may_leave_type(arg) else None
        source = source or self.value(arg)
        if not arg.nullable:
            return source
        if source.replace(".", "").replace("_", "").isalnum():
            guards.append(f"{source} is not None")
            return source
        temp = self.temp()
        guards.append(f"({temp} := {source}) is not None")
        return temp

    def _chain(self, e: Call, guards: list[str]) -> str:
        """Source of arithmetic whose result was not yet looked at."""
        family = bounds(e.type)
        sources = [self.operand(a, guards, through=bounds(a.type) == family) for a in e.args]
        return calls.infix(e, self._unify(e.args, sources))

    def _closed(self, e: Expr, guards: list[str], source: str) -> str:
        """The value, or None where it is NULL or beyond its type."""
        low, high = bounds(e.type)
        temp = self.temp()
        if e.nullable and not guards and not isinstance(e, Call):
            guards = [f"({temp} := {source}) is not None"]
            return f"({temp} if {guards[0]} and {low} <= {temp} <= {high} else None)"
        return f"({temp} if {' and '.join([*guards, f'{low} <= ({temp} := {source}) <= {high}'])} else None)"

    def mixed(self, args: tuple[Expr, ...]) -> bool:
        """Whether operands must be converted to be compared or computed with."""
        kinds = {a.type.kind for a in args}
        units = {a.type.time_unit for a in args if a.type.kind == "TIMESTAMP"}
        return {"DECIMAL", "DOUBLE"} <= kinds or len(units) > 1

    def _unify(self, args: tuple[Expr, ...], sources: list[str]) -> list[str]:
        """DOUBLE wins over DECIMAL, as in SQL; times in microseconds where one is. Sources are not None."""
        if not self.mixed(args):
            return sources
        out: list[str] = []
        for arg, source in zip(args, sources, strict=True):
            if arg.type.kind == "DECIMAL":
                out.append(repr(float(arg.value)) if isinstance(arg, Literal) else f"float({source})")
            elif arg.type.kind == "TIMESTAMP" and arg.type.time_unit == "ms":
                out.append(f"{source} * 1000")
            else:
                out.append(source)
        return out

    def _call(self, e: Call) -> str:
        op, args = e.op, e.args
        if op in {"AND", "OR", "NOT", "IN", "LIKE", "IN_LIST", *_COMPARE}:
            if not e.nullable:
                return f"bool({self.truth(e)})"
            return f"(True if {self.truth(e)} else False if {self.falsity(e)} else None)"
        if may_leave_type(e):
            checked: list[str] = []
            source = self._chain(e, checked)
            return self._closed(e, checked, source)
        special = calls.SPECIAL.get(op)
        if special is not None:
            return special(self, e)
        guards, sources = self.operands(args)
        return guarded(guards, calls.body(e, sources))
