"""What names mean in a join: columns of two rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.errors import RuleError, nearest
from m1cep.plan.join import LEFT, RIGHT, SideCol
from m1cep.sql.scope import stream_column

if TYPE_CHECKING:
    from m1cep.errors import SourceText
    from m1cep.plan.ir import Col, Expr
    from m1cep.sql.statement import Source


@dataclass
class JoinScope:
    """Columns of two rows, by the names of their streams. After a LEFT JOIN the right ones may be NULL."""

    source: SourceText
    place: str
    sides: tuple[Source, Source]
    outer: bool = False

    def names(self, side: int) -> frozenset[str]:
        """What a side is called: its alias, or the stream's name where it has none."""
        return self.sides[side].aliases or frozenset({self.sides[side].stream.name.lower()})

    def check_names(self, pos: int) -> None:
        """Refuse two sides with one name."""
        both = self.names(LEFT) & self.names(RIGHT)
        if both:
            raise RuleError(
                f"both sides of the join are called {min(both)!r}",
                self.source,
                pos,
                hint="FROM s AS a JOIN s AS b ON ...",
            )

    def column(self, qualifier: str | None, name: str, pos: int) -> Expr:
        streams = [s.stream for s in self.sides]
        if qualifier is not None:
            side = self._named(qualifier, pos)
            return self._col(side, stream_column(streams[side], name, pos, self.source))
        having = [side for side in (LEFT, RIGHT) if name.lower() in streams[side].by_name]
        if len(having) == 2:
            options = " or ".join(f"{min(self.names(side))}.{name}" for side in having)
            raise RuleError(
                f"both sides have a column {name!r}", self.source, pos, length=len(name), hint=f"write {options}"
            )
        if not having:
            raise RuleError(
                f"neither {streams[LEFT].name!r} nor {streams[RIGHT].name!r} has a column {name!r}",
                self.source,
                pos,
                length=len(name),
                hint=nearest(name, dict.fromkeys(c.name for s in streams for c in s.columns)),
            )
        return self._col(having[0], stream_column(streams[having[0]], name, pos, self.source))

    def every_column(self, qualifier: str | None, pos: int) -> list[exp.Expr]:
        """What * or a.* stands for."""
        found: list[exp.Expr] = []
        for side in (LEFT, RIGHT) if qualifier is None else (self._named(qualifier, pos),):
            for column in self.sides[side].stream.columns:
                item = exp.column(column.name, table=min(self.names(side)), quoted=True)
                item.this.meta["start"] = pos
                found.append(item)
        return found

    def _named(self, qualifier: str, pos: int) -> int:
        for side in (LEFT, RIGHT):
            if qualifier.lower() in self.names(side):
                return side
        raise RuleError(
            f"unknown table {qualifier!r} in {self.place}",
            self.source,
            pos,
            length=len(qualifier),
            hint=nearest(qualifier, [*self.names(LEFT), *self.names(RIGHT)]),
        )

    def _col(self, side: int, c: Col) -> SideCol:
        return SideCol(c.name, c.attr, c.type, c.nullable or (self.outer and side == RIGHT), c.pos, side)
