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

from m1cep.codegen.common import identifier
from m1cep.codegen.patterns import like_regex
from m1cep.model.types import DOUBLE, US_PER_UNIT, SqlType
from m1cep.plan.ir import Call, Col, Expr, Literal, Param, may_leave_type
from m1cep.runtime.lookups import Binding

if TYPE_CHECKING:
    from collections.abc import Callable

_COMPARE = {"EQ": "==", "NE": "!=", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}
_NEGATED = {"EQ": "NE", "NE": "EQ", "LT": "GE", "LE": "GT", "GT": "LE", "GE": "LT"}
_MIRRORED = {"GT": "<", "GE": "<="}
_INFIX = {"ADD": "+", "SUB": "-", "MUL": "*"}
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
                return self._literal(value)
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
            return self._comparison(op if wanted else _NEGATED[op], args)
        if op in {"IN", "LIKE", "IN_LIST"}:
            guards, body = self._membership(e)
            return "(" + " and ".join([*guards, body if wanted else f"not {body}"]) + ")"
        if not e.nullable:
            return self.value(e) if wanted else f"(not {self.value(e)})"
        return f"({self.value(e)} is {wanted})"

    def _comparison(self, op: str, args: tuple[Expr, ...]) -> str:
        mixed = self._mixed(args)
        guards: list[str] = []
        left, right = sources = [self._operand(a, guards, through=not mixed) for a in args]
        open_ = [not mixed and may_leave_type(a) for a in args]
        if not any(open_):
            left, right = self._unify(args, sources)
            return "(" + " and ".join([*guards, f"{left} {_COMPARE[op]} {right}"]) + ")"
        bounds = [_bounds(a.type) for a in args]
        for n in (0, 1):
            # only a value of as narrow a type on the other side bounds this one as well
            narrower = _WIDTH.get(args[n].type.kind, 1) < _WIDTH.get(args[1 - n].type.kind, 1)
            if open_[n] and (op == "NE" or narrower):
                temp = self._temp()
                guards.append(f"{bounds[n][0]} <= ({temp} := {sources[n]}) <= {bounds[n][1]}")
                sources[n], open_[n] = temp, False
        if op in _MIRRORED:  # the lesser first: "0 < a * b <= MAX_DOUBLE" leaves when the first comparison fails
            sources.reverse()
            bounds.reverse()
            open_.reverse()
        parts = [f"{sources[0]} {_MIRRORED.get(op, _COMPARE[op])} {sources[1]}"]
        # equal to a value within its type is within it: both ends matter only where both sides may be beyond
        if open_[0] and (op != "EQ" or open_[1]):
            parts.insert(0, f"{bounds[0][0]} <= ")
        if open_[1] and (op != "EQ" or open_[0]):
            parts.append(f" <= {bounds[1][1]}")
        return "(" + " and ".join([*guards, "".join(parts)]) + ")"

    # values

    def _literal(self, value: Any) -> str:
        return self.constant(value) if isinstance(value, Decimal) else repr(value)

    def _temp(self) -> str:
        self._temps += 1
        return f"_{self._temps}"

    def _operands(self, args: tuple[Expr, ...]) -> tuple[list[str], list[str]]:
        """Guards that say no operand is NULL, and the operands, brought to one type."""
        guards: list[str] = []
        sources = [self._operand(arg, guards) for arg in args]
        return guards, self._unify(args, sources)

    def _operand(self, arg: Expr, guards: list[str], *, through: bool = False) -> str:
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
        temp = self._temp()
        guards.append(f"({temp} := {source}) is not None")
        return temp

    def _chain(self, e: Call, guards: list[str]) -> str:
        """Source of arithmetic whose result was not yet looked at."""
        family = _bounds(e.type)
        sources = [self._operand(a, guards, through=_bounds(a.type) == family) for a in e.args]
        return self._infix(e, self._unify(e.args, sources))

    def _closed(self, e: Expr, guards: list[str], source: str) -> str:
        """The value, or None where it is NULL or beyond its type."""
        low, high = _bounds(e.type)
        temp = self._temp()
        if e.nullable and not guards and not isinstance(e, Call):
            guards = [f"({temp} := {source}) is not None"]
            return f"({temp} if {guards[0]} and {low} <= {temp} <= {high} else None)"
        return f"({temp} if {' and '.join([*guards, f'{low} <= ({temp} := {source}) <= {high}'])} else None)"

    def _mixed(self, args: tuple[Expr, ...]) -> bool:
        """Whether operands must be converted to be compared or computed with."""
        kinds = {a.type.kind for a in args}
        units = {a.type.time_unit for a in args if a.type.kind == "TIMESTAMP"}
        return {"DECIMAL", "DOUBLE"} <= kinds or len(units) > 1

    def _unify(self, args: tuple[Expr, ...], sources: list[str]) -> list[str]:
        """DOUBLE wins over DECIMAL, as in SQL; times in microseconds where one is. Sources are not None."""
        if not self._mixed(args):
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
        special = getattr(self, f"_call_{op.lower()}", None)
        if special is not None:
            found: str = special(e)
            return found
        guards, sources = self._operands(args)
        body = self._body(e, sources)
        return f"({body} if {' and '.join(guards)} else None)" if guards else body

    # one method for each operator that does not simply take operands that are not NULL

    def _call_is_null(self, e: Call) -> str:
        return f"({self.value(e.args[0])} is None)" if e.args[0].nullable else "False"

    def _call_is_true(self, e: Call) -> str:
        return f"bool({self.truth(e.args[0])})"

    def _call_is_false(self, e: Call) -> str:
        return f"bool({self.falsity(e.args[0])})"

    def _call_distinct(self, e: Call) -> str:
        values = [self.value(a) for a in e.args]
        if not self._mixed(e.args):
            return f"({values[0]} != {values[1]})"
        guards, (left, right) = self._operands(e.args)
        nulls = f"({values[0]} is None) != ({values[1]} is None)"
        return f"({left} != {right} if {' and '.join(guards)} else {nulls})" if guards else f"({left} != {right})"

    def _call_case(self, e: Call) -> str:
        *branches, default = e.args
        parts = [
            f"{self._as(result, e.type)} if {self.truth(condition)} else "
            for condition, result in zip(branches[::2], branches[1::2], strict=True)
        ]
        return "(" + "".join(parts) + self._as(default, e.type) + ")"

    def _call_coalesce(self, e: Call) -> str:
        source = self._as(e.args[-1], e.type)
        for arg in reversed(e.args[:-1]):
            temp = self._temp()
            source = f"({temp} if ({temp} := {self._as(arg, e.type)}) is not None else {source})"
        return source

    def _call_nullif(self, e: Call) -> str:
        return f"(None if {self._comparison('EQ', e.args)} else {self.value(e.args[0])})"

    def _call_greatest(self, e: Call) -> str:
        guards, sources = self._operands(e.args)
        converted = (self._converted(a, s, e.type) for a, s in zip(e.args, sources, strict=True))
        body = f"{'max' if e.op == 'GREATEST' else 'min'}({', '.join([*converted])})"
        body = body if len(sources) > 1 else sources[0]
        return f"({body} if {' and '.join(guards)} else None)" if guards else body

    _call_least = _call_greatest

    def _call_concat_ws(self, e: Call) -> str:
        separator, *parts = e.args
        guards, (source,) = self._operands((separator,))
        body = f"concat_ws({source}, ({''.join(self.value(p) + ', ' for p in parts)}))"
        return f"({body} if {guards[0]} else None)" if guards else body

    def _call_param(self, e: Call) -> str:
        """The value for all keys is a name; those by key are in a mapping."""
        name, *key = e.args
        assert isinstance(name, Literal)
        own = f"param_{identifier(name.value)}" + ("" if e.type == DOUBLE else f"_{identifier(str(e.type).lower())}")
        if not key:
            return self.bind(own, Binding("param", name.value, e.type))
        guards, (source,) = self._operands((key[0],))
        text = source if key[0].type.kind == "STRING" else f"str({source})"
        by_key = self.bind(f"{own}_by_key", Binding("by_key", name.value, e.type))
        rest = self.bind(f"{own}_rest", Binding("rest", name.value, e.type))
        body = f"{by_key}.get({text}, {rest})"
        return f"({body} if {guards[0]} else None)" if guards else body

    def _as(self, arg: Expr, type_: SqlType) -> str:
        """The value as one of ``type_``: what CASE and COALESCE give is of one type."""
        if arg.type == type_ or not (type_.kind in {"DOUBLE", "DECIMAL"} and arg.type.is_numeric):
            return self.value(arg)
        if isinstance(arg, Literal) or not arg.nullable:
            return self._converted(arg, self.value(arg), type_)
        return f"to_{type_.kind.lower()}({self.value(arg)})"

    def _converted(self, arg: Expr, source: str, type_: SqlType) -> str:
        """A number that is not NULL as one of ``type_``."""
        if arg.type.kind == type_.kind or type_.kind not in {"DOUBLE", "DECIMAL"} or not arg.type.is_numeric:
            return source
        if isinstance(arg, Literal) and arg.value is not None:
            return self._literal(float(arg.value) if type_.kind == "DOUBLE" else Decimal(arg.value))
        return f"to_{type_.kind.lower()}({source})"

    def _membership(self, e: Call) -> tuple[list[str], str]:
        if e.op == "LIKE":
            _, pattern, escape = e.args
            assert isinstance(pattern, Literal)
            assert isinstance(escape, Literal)
            guards, (source,) = self._operands(e.args[:1])
            matches = self.constant(like_regex(pattern.value, escape.value).fullmatch)
            return guards, f"({matches}({source}) is not None)"
        if e.op == "IN_LIST":
            return self._listed(e)
        guards, (source,) = self._operands(e.args[:1])
        double = e.args[0].type.kind == "DOUBLE"
        items = [a.value for a in e.args[1:] if isinstance(a, Literal)]
        return guards, f"({source} in {self.constant(frozenset(float(i) if double else i for i in items))})"

    def _listed(self, e: Call) -> tuple[list[str], str]:
        name, item, optional = e.args
        assert isinstance(name, Literal)
        assert isinstance(optional, Literal)
        entries = self.bind(f"list_{identifier(name.value)}", Binding("list", name.value))
        guards, (source,) = self._operands((item,))
        text = source if item.type.kind == "STRING" else f"str({source})"
        return ([f"{entries} is not None"] if optional.value else []) + guards, f"({text} in {entries})"

    def _body(self, e: Call, s: list[str]) -> str:
        """An operator on operands that are not NULL."""
        args, kinds = e.args, [a.type.kind for a in e.args]
        match e.op:
            case "SUB" | "NEG" | "ABS":  # those that cannot leave their type
                return self._infix(e, s)
            case "DIV":
                whole = kinds[0] == "INTERVAL" or all(a.type.is_integer for a in args)
                return f"{'div_int' if whole else 'div_decimal' if e.type.kind == 'DECIMAL' else 'div'}({s[0]}, {s[1]})"
            case "CONCAT":
                return "(" + " + ".join(s) + ")"
            case "CAST":
                units = f"{args[0].type.time_unit!r}, {e.type.time_unit!r}"
                return f"cast({s[0]}, {kinds[0]!r}, {e.type.kind!r}, {units}, {e.type.precision!r}, {e.type.scale!r})"
            case "EXTRACT" | "TIME_FLOOR" | "TIME_CEIL":
                return f"{e.op.lower()}({s[0]}, {s[1]}, {args[1].type.time_unit!r})"
            case "TIME_DIFF":
                both_ms = all(a.type.time_unit == "ms" for a in args[1:])  # else _unify has made them microseconds
                return f"div_int(({s[2]} - {s[1]}){' * 1000' if both_ms else ''}, {s[0]})"
            case "FIELD" | "ENTRY":
                return f"{s[0]}.get({s[1]})"
        return f"{e.op.lower()}({', '.join(s)})"

    def _infix(self, e: Call, s: list[str]) -> str:
        """+ - * and the signs."""
        if e.op in {"NEG", "ABS"}:
            exact = e.type.kind == "DECIMAL"
            name = {"NEG": "decimal_neg" if exact else "-", "ABS": "decimal_abs" if exact else "abs"}[e.op]
            return f"(-{s[0]})" if name == "-" else f"{name}({s[0]})"
        (a, b), sign = e.args, _INFIX[e.op]
        kinds = (a.type.kind, b.type.kind)
        if kinds == ("TIMESTAMP", "TIMESTAMP"):  # an INTERVAL in microseconds
            if a.type.time_unit == b.type.time_unit == "ms":
                return f"(({s[0]} - {s[1]}) * 1000)"
            return f"({s[0]} - {s[1]})"
        if "TIMESTAMP" in kinds and "INTERVAL" in kinds:
            per_unit = US_PER_UNIT[e.type.time_unit]
            left, right = (
                f"{x} // {per_unit}" if k == "INTERVAL" and per_unit > 1 else x for x, k in zip(s, kinds, strict=True)
            )
            return f"({left} {sign} {right})"
        if e.type.kind == "DECIMAL":
            return f"decimal_{e.op.lower()}({s[0]}, {s[1]})"
        if (
            isinstance(a, Call)
            and (a.op in {"ADD", "SUB"}) == (e.op in {"ADD", "SUB"})
            and a.op in _INFIX
            and s[0][0] == "("
        ):
            s[0] = s[0][1:-1] if _bounds(a.type) == _bounds(e.type) and self._leaf(a) is None else s[0]
        return f"({s[0]} {sign} {s[1]})"


def _bounds(type_: SqlType) -> tuple[str, str]:
    """Names of the least and the greatest value of a type, for results of arithmetic."""
    suffix = {"DOUBLE": "DOUBLE", "DECIMAL": "DECIMAL", "INT": "INT"}.get(type_.kind, "BIGINT")
    if type_.kind == "TIMESTAMP":
        suffix = f"TIME_{type_.time_unit.upper()}"
    return f"MIN_{suffix}", f"MAX_{suffix}"
