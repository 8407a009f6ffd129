"""Columns over time, as uPlot wants them: one list a name, all of one length, bounded."""

from __future__ import annotations

from typing import Any


class Columns:
    """Rows by time.

    Args:
        names: of the columns; the first is the time.
        most: rows. A full one forgets the oldest; with ``thin`` every second one, so that it goes back to the beginning, coarser.
    """

    def __init__(self, *names: str, most: int, thin: bool = False) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._names, self._most, self._thin = names, most, thin

    def add(self, *row: Any) -> None:
        """A row; one with the time of the last replaces it."""
        if self._rows and self._rows[-1][0] == row[0]:
            self._rows[-1] = row
            return
        if len(self._rows) >= self._most:
            if self._thin:
                del self._rows[1::2]
            else:
                del self._rows[0]
        self._rows.append(row)

    def __len__(self) -> int:
        return len(self._rows)

    def plain(self) -> dict[str, list[Any]]:
        """List by name."""
        return {name: [row[n] for row in self._rows] for n, name in enumerate(self._names)}
