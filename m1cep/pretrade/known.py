"""Names heard before, the last ones: in two sets that change places, as in ``m1cep.runtime.seen``, but one name at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Known:
    """The last ``window`` names at least, and twice as many at most.

    Args:
        window: how many.
    """

    __slots__ = ("_newer", "_older", "_window")

    def __init__(self, window: int) -> None:
        self._window = window
        self._newer: dict[str, None] = {}
        self._older: dict[str, None] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._newer or name in self._older

    def add(self, name: str) -> bool:
        """Remember it; whether it was new."""
        if name in self._newer or name in self._older:
            return False
        self._newer[name] = None
        if len(self._newer) >= self._window:
            self._older, self._newer = self._newer, {}
        return True

    def state(self) -> list[list[str]]:
        """The names, older ones first."""
        return [list(self._older), list(self._newer)]

    def load(self, state: Iterable[Iterable[str]]) -> None:
        """The reverse."""
        self._older, self._newer = (dict.fromkeys(names) for names in state)
