"""SQL types and the Python types that carry their values.

BOOLEAN bool · INT, BIGINT int · DOUBLE float (never NaN or infinite) · DECIMAL(p,s) decimal.Decimal · STRING str
TIMESTAMP(3|6) int, epoch milliseconds or microseconds · INTERVAL int, microseconds · ARRAY list · MAP, ROW dict
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, TypedDict

from msgspec import Meta

US_PER_UNIT = {"ms": 1_000, "us": 1}
MIN_INT, MAX_INT = -(2**31), 2**31 - 1
MIN_BIGINT, MAX_BIGINT = -(2**63), 2**63 - 1
MIN_DOUBLE, MAX_DOUBLE = -1.7976931348623157e308, 1.7976931348623157e308
MIN_DECIMAL, MAX_DECIMAL = Decimal(1 - 10**38), Decimal(10**38 - 1)
# The years 1 to 9999. Computed times may be before 1970, those of events are not.
MIN_TIME_MS, MAX_TIME_MS = -62_135_596_800_000, 253_402_300_799_999
MIN_TIME_US, MAX_TIME_US = MIN_TIME_MS * 1000, MAX_TIME_MS * 1000 + 999

_Double = Annotated[float, Meta(ge=MIN_DOUBLE, le=MAX_DOUBLE)]  # refuses NaN and infinities, in C
_Int = Annotated[int, Meta(ge=MIN_INT, le=MAX_INT)]
_BigInt = Annotated[int, Meta(ge=MIN_BIGINT, le=MAX_BIGINT)]
_EpochMs = Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]
_EpochUs = Annotated[int, Meta(ge=0, le=MAX_TIME_US)]

NUMERIC = frozenset({"INT", "BIGINT", "DOUBLE", "DECIMAL"})
INTEGER = frozenset({"INT", "BIGINT"})


@dataclass(frozen=True, slots=True)
class SqlType:
    """A SQL type: kind, and what its kind needs."""

    kind: str  # BOOLEAN INT BIGINT DOUBLE DECIMAL STRING TIMESTAMP INTERVAL ARRAY MAP ROW NULL
    precision: int | None = None
    scale: int | None = None
    element: SqlType | None = None
    fields: tuple[tuple[str, SqlType], ...] = field(default=())

    def __str__(self) -> str:
        """The type as it is written in SQL."""
        match self.kind:
            case "DECIMAL":
                return f"DECIMAL({self.precision}, {self.scale})"
            case "TIMESTAMP":
                return f"TIMESTAMP({self.precision})"
            case "ARRAY":
                return f"ARRAY<{self.element}>"
            case "MAP":
                return f"MAP<STRING, {self.element}>"
            case "ROW":
                return "ROW<" + ", ".join(f"{n} {t}" for n, t in self.fields) + ">"
        return self.kind

    @property
    def is_numeric(self) -> bool:
        return self.kind in NUMERIC

    @property
    def is_integer(self) -> bool:
        return self.kind in INTEGER

    @property
    def is_scalar(self) -> bool:
        return self.kind not in {"ARRAY", "MAP", "ROW"}

    @property
    def time_unit(self) -> str:
        """``us`` for TIMESTAMP(6), else ``ms``."""
        return "us" if self.kind == "TIMESTAMP" and self.precision == 6 else "ms"

    def check_decimals(self, value: Any) -> None:
        """Refuse a DECIMAL, at any depth of ``value``, with more digits before the point than declared; NaN and infinity too.

        Raises:
            ValueError: there is one.
        """
        if value is None:
            return
        match self.kind:
            case "DECIMAL":
                if not value.is_finite() or (value and value.adjusted() >= (self.precision or 38) - (self.scale or 0)):
                    raise ValueError(
                        f"expected {self}, got {value:.20}" if value.is_finite() else f"expected {self}, got {value}"
                    )
            case "ARRAY" | "MAP" if self.element is not None:
                for item in value if self.kind == "ARRAY" else value.values():
                    self.element.check_decimals(item)
            case "ROW":
                for name, type_ in self.fields:
                    type_.check_decimals(value.get(name))

    @property
    def has_decimals(self) -> bool:
        """Whether it is, or holds, a DECIMAL."""
        inner = [t for _, t in self.fields] + ([self.element] if self.element is not None else [])
        return self.kind == "DECIMAL" or any(t.has_decimals for t in inner)

    def _element(self) -> Any:
        return self.element.python() | None if self.element else Any

    def python(self) -> Any:
        """The annotation by which msgspec decodes a value of this type."""
        match self.kind:
            case "ARRAY":
                return list[self._element()]  # type: ignore[misc]  # made at run time
            case "MAP":
                return dict[str, self._element()]  # type: ignore[misc]  # made at run time
            case "ROW":
                return TypedDict("Row", {n: t.python() | None for n, t in self.fields}, total=False)  # type: ignore[operator]
            case "TIMESTAMP":
                return _EpochUs if self.precision == 6 else _EpochMs
        return {
            "BOOLEAN": bool,
            "INT": _Int,
            "BIGINT": _BigInt,
            "DOUBLE": _Double,
            "DECIMAL": Decimal,
            "STRING": str,
        }[self.kind]


BOOLEAN = SqlType("BOOLEAN")
INT = SqlType("INT")
BIGINT = SqlType("BIGINT")
DOUBLE = SqlType("DOUBLE")
STRING = SqlType("STRING")
INTERVAL = SqlType("INTERVAL")
NULL = SqlType("NULL")
