"""What is remembered of one key of a row pattern: the rows that open matches and PREV may still look at."""

from __future__ import annotations

from typing import Any

NEVER = 2**63 - 1


class Partition:
    """The kept rows of a key. Rows are counted from the partition's first: ``base`` is the number of the oldest that is kept.

    Attributes:
        log: kept rows, oldest first.
        ats: their positions in the rule's source.
        taken: number of rows that the pattern has taken in; rows of the log beyond it wait for those that NEXT looks at.
        matches: found so far, for MATCH_NUMBER.
        covered: rows before this number belong to a match, for WITH UNMATCHED ROWS.
        armed: event time at which the partition is to be woken, or NEVER.
        slim: rows before this number have been cut down to the columns that are needed.
        touched: how many rows there had been when partitions without new rows were looked for the last time.
    """

    __slots__ = ("armed", "ats", "base", "covered", "log", "matches", "slim", "taken", "touched")

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.ats: list[int] = []
        self.base = 0
        self.taken = 0
        self.matches = 0
        self.covered = 0
        self.armed = NEVER
        self.slim = 0
        self.touched = 0

    def forget_before(self, number: int) -> None:
        """Drop rows before ``number``, when there are enough of them to be worth it."""
        count = number - self.base
        if count > 16 and count * 2 > len(self.log):
            self.cut(count)

    def cut(self, count: int) -> None:
        """Drop the ``count`` oldest rows."""
        del self.log[:count]
        del self.ats[:count]
        self.base += count
