"""After an alert, further alerts of the same key wait for a while of event time."""

from __future__ import annotations

from typing import Any

_SWEEP = 1_024  # keys remembered before old ones are looked for


def plain_key(key: Any) -> Any:
    """A key back from plain values, where a tuple may have become a list."""
    return tuple(key) if isinstance(key, list) else key


class Suppressor:
    """Lets one match a key through in each ``span`` of event time; counts the others.

    Args:
        span: in the stream's time unit; None lets everything through.
    """

    __slots__ = ("_quiet_until", "_sweep_at", "span", "suppressed")

    def __init__(self, span: int | None) -> None:
        self.span = span
        self.suppressed = 0
        self._quiet_until: dict[Any, int] = {}
        self._sweep_at = _SWEEP

    def allows(self, key: Any, time: int) -> bool:
        """Whether a match of ``key`` at ``time`` is reported. Called in the order in which matches are decided."""
        if self.span is None:
            return True
        if time < self._quiet_until.get(key, time):
            self.suppressed += 1
            return False
        self._quiet_until[key] = time + self.span
        return True

    def forget(self, watermark: int) -> None:
        """Drop keys whose quiet time is over, when there are many."""
        if len(self._quiet_until) < self._sweep_at:
            return
        self._quiet_until = {k: t for k, t in self._quiet_until.items() if t > watermark}
        self._sweep_at = max(_SWEEP, 2 * len(self._quiet_until))

    def state(self) -> Any:
        """The keys that are quiet and until when, and the count."""
        return [[list(item) for item in self._quiet_until.items()], self.suppressed]

    def load(self, state: Any) -> None:
        """The reverse; keys of several columns come back as lists."""
        quiet, self.suppressed = state
        self._quiet_until = {plain_key(k): t for k, t in quiet}
        self._sweep_at = max(_SWEEP, 2 * len(self._quiet_until))
