"""Two streams side by side, as a join reads them: one source of rows, each carrying a row of the left or of the right."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from m1cep.model.stream import Column, Stream


@dataclass(frozen=True, kw_only=True)
class Joined(Stream):
    """The source of a join of two different streams or views.

    Its rows have ``time``, ``left`` and ``right``; one of the last two is None. The engine merges them by event time as it
    does those of a view, so that a join sees both sides in one order.
    """

    left: Stream
    right: Stream

    @property
    def is_view(self) -> bool:
        return True

    @property
    def inputs(self) -> tuple[str, ...]:
        """The base streams read, those of the left first."""
        return tuple(dict.fromkeys((*self.left.inputs, *self.right.inputs)))

    @cached_property
    def row_type(self) -> type[msgspec.Struct]:
        """The class of its rows."""
        fields: list[tuple[str, Any]] = [
            ("time", int),
            ("left", self.left.row_type | None),
            ("right", self.right.row_type | None),
        ]
        flat = all(c.type.is_scalar for side in (self.left, self.right) for c in side.columns)
        return msgspec.defstruct("joined_row", fields, gc=not flat)


def join_source(left: Stream, right: Stream) -> Stream:
    """What a join of the two reads: of a stream with itself that stream, else the two side by side."""
    if left == right:
        return left
    time = Column("time", left.by_name[left.time_column.lower()].type, nullable=False)
    name, branches = f"{left.name} JOIN {right.name}", left.branches + right.branches
    return Joined(name, (time,), time.name, branches=branches, left=left, right=right)
