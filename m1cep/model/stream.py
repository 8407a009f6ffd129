"""Streams as declared: columns, key, event time, lateness; and views that unite several of them."""

from __future__ import annotations

import keyword
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.errors import EventError
from m1cep.model.decode import RecordDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from m1cep.model.types import SqlType

EVENT_ID = "event_id"  # the column that identifies an event; without it the event's contents do


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a stream. ``attr`` is its name in generated code."""

    name: str
    type: SqlType
    nullable: bool = True

    @property
    def attr(self) -> str:
        ascii_ = self.name.isascii()  # Python folds other letters: the name would not be found again
        plain = ascii_ and self.name.isidentifier() and not keyword.iskeyword(self.name) and self.name[0] != "_"
        escaped = (c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in self.name)
        return self.name if plain else f"c_{''.join(escaped)}"


@dataclass(frozen=True, slots=True)
class Branch:
    """One SELECT of a union view: which stream, and for each column of the view a column of it or a constant."""

    stream: str
    columns: tuple[str | None, ...]  # the stream's column, or None for a constant
    constants: tuple[Any, ...]


@dataclass(frozen=True)
class Stream:
    """A stream of events, or a view over several.

    Attributes:
        name: as declared; rules say FROM name.
        topic: the Kafka topic; empty for a view.
        key: columns of PARTITIONED BY, the Kafka key; empty for a view.
        time_column: the column of event time, an integer in ``time_unit``.
        delay: how much later than a newer event an event may arrive, in ``time_unit``.
        branches: of a view, what it unites; empty for a base stream.
    """

    name: str
    columns: tuple[Column, ...]
    time_column: str
    topic: str = ""
    key: tuple[str, ...] = ()
    delay: int = 0
    branches: tuple[Branch, ...] = field(default=())

    @property
    def is_view(self) -> bool:
        return bool(self.branches)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The base streams read: itself, or those a view unites, in the order written."""
        return tuple(dict.fromkeys(b.stream for b in self.branches)) if self.branches else (self.name,)

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by lower-case name: SQL's unquoted names ignore case."""
        return {c.name.lower(): c for c in self.columns}

    @property
    def time_unit(self) -> str:
        """``ms`` or ``us``."""
        return self.by_name[self.time_column.lower()].type.time_unit

    @cached_property
    def time_attr(self) -> str:
        """Attribute of event time on rows."""
        return self.by_name[self.time_column.lower()].attr

    @cached_property
    def row_type(self) -> type[msgspec.Struct]:
        """The class of a decoded event. Columns that must be there come first; the others default to None."""
        ordered = sorted(self.columns, key=lambda c: c.nullable)
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
            (c.attr, c.type.python() | None, None) if c.nullable else (c.attr, c.type.python()) for c in ordered
        ]
        return msgspec.defstruct(
            f"{self.name}_row",
            fields,
            namespace=self._checks(),
            rename={c.attr: c.name for c in self.columns},
            gc=not all(
                c.type.is_scalar for c in self.columns
            ),  # flat rows hold no cycles: keep them out of the collector
        )

    def _checks(self) -> dict[str, Any]:
        """What msgspec cannot say of a type: the digits of a DECIMAL."""
        columns = [c for c in self.columns if c.type.has_decimals]
        if self.is_view or not columns:
            return {}

        def check(row: Any) -> None:
            for column in columns:
                try:
                    column.type.check_decimals(getattr(row, column.attr))
                except ValueError as error:
                    raise ValueError(f"{error} - at `$.{column.name}`") from None

        return {"__post_init__": check}

    @cached_property
    def decoder(self) -> RecordDecoder:
        """Decodes records and mappings into rows."""
        times = {c.name: c.type.time_unit for c in self.columns if c.type.kind == "TIMESTAMP"}
        return RecordDecoder(self.name, self.row_type, times)

    def decode_many(
        self, raws: Sequence[bytes], longest: int | None = None
    ) -> tuple[list[Any], list[tuple[int, EventError]], list[int] | None]:
        """Rows of JSON records; errors by position; positions of the rows, or None when none was bad.

        ``longest``: a bound on the length of every record, where the caller knows one.
        """
        return self.decoder.decode_many(raws, longest)

    def decode_each(self, events: Iterable[Mapping[str, Any] | bytes | str]) -> list[Any]:
        """Rows of mappings or JSON texts.

        Raises:
            EventError: one does not fit; ``index`` says which.
        """
        decoder = self.decoder
        rows: list[Any] = []
        for index, event in enumerate(events):
            try:
                rows.append(decoder.decode(event) if isinstance(event, bytes | str) else decoder.convert(event))
            except EventError as error:
                raise EventError(self.name, error.reason, column=error.column, index=index) from None
        return rows
