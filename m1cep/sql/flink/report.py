"""What is found out about a rule on its way to Flink: what cannot be said there, and what means something else there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from m1cep.errors import RuleError
from m1cep.sql.nodes import position

if TYPE_CHECKING:
    from sqlglot import exp

    from m1cep.errors import SourceText


@dataclass
class Report:
    """Findings about one rule, each at its place in the text. A ``RuleError`` here is kept, not raised.

    Attributes:
        source: the rule's text.
        problems: what Flink cannot do; ``hint`` says why, or what to write instead.
        notes: what Flink does, but not quite as M1CEP does.
    """

    source: SourceText
    problems: list[RuleError] = field(default_factory=list)
    notes: list[RuleError] = field(default_factory=list)

    def cannot(self, what: str, at: exp.Expr | int, why: str = "", *, length: int = 1) -> None:
        """Flink has no such thing; ``at`` is a node or an offset. Said once for a place."""
        self._add(self.problems, what, at, why, length)

    def differs(self, what: str, at: exp.Expr | int, why: str = "", *, length: int = 1) -> None:
        """Flink runs it with another meaning in some cases."""
        self._add(self.notes, what, at, why, length)

    def _add(self, to: list[RuleError], what: str, at: exp.Expr | int, why: str, length: int) -> None:
        offset = at if isinstance(at, int) else position(at)
        if all((e.offset, e.message) != (offset, what) for e in to):
            to.append(RuleError(what, self.source, offset, length=length, hint=why))
