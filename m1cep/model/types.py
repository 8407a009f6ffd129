"""SQL types and the Python types that carry their values.

BOOLEAN bool · INT, BIGINT int · DOUBLE float (never NaN or infinite) · DECIMAL(p,s) decimal.Decimal · STRING str
TIMESTAMP(3|6) int, epoch milliseconds or microseconds · INTERVAL int, microseconds · ARRAY list · MAP, ROW dict
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta

US_PER_UNIT = {"ms": 1_000, "us": 1}
_MAX_EPOCH_MS = 253_402_300_799_999  # the last millisecond of the year 9999
_MAX_DOUBLE = 1.7976931348623157e308

_Double = Annotated[float, Meta(ge=-_MAX_DOUBLE, le=_MAX_DOUBLE)]  # refuses NaN and infinities, in C
_Int = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
_BigInt = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_EpochMs = Annotated[int, Meta(ge=0, le=_MAX_EPOCH_MS)]
_EpochUs = Annotated[int, Meta(ge=0, le=_MAX_EPOCH_MS * 1000 + 999)]

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
                return dict[str, Any]
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
TIMESTAMP_MS = SqlType("TIMESTAMP", 3)
