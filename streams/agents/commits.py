"""Which positions may be committed: those before which every message is acknowledged."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

    from faust.types import TP


class _Step(NamedTuple):
    tp: TP | None
    position: int
    pending: list[asyncio.Future[Any]]


class CommitLog:
    """Steps in the order in which they were processed, each with the acknowledgements that it waits for.

    A step becomes committable when it and *all steps before it* are acknowledged, whatever their partition: an alert
    can follow from events of several topics, and order is cheaper to keep than to reason about.
    """

    def __init__(self) -> None:
        self._steps: deque[_Step] = deque()
        self._safe: dict[TP, int] = {}

    def add(self, tp: TP | None, position: int, pending: list[asyncio.Future[Any]]) -> None:
        """Note that everything before ``position`` of ``tp`` is processed and its messages are on their way.

        Args:
            tp: None for messages that follow from the passing of time, not from a batch.
            position: the next offset to read.
            pending: acknowledgements to wait for.
        """
        if not pending and not self._steps:
            if tp is not None:
                self._safe[tp] = position
            return
        self._steps.append(_Step(tp, position, pending))

    def committable(self) -> dict[TP, int]:
        """Positions that may be committed now.

        Raises:
            KafkaError: the broker has refused a message, or not answered in time.
        """
        steps = self._steps
        while steps and all(future.done() for future in steps[0].pending):
            step = steps.popleft()
            for future in step.pending:
                future.result()
            if step.tp is not None:
                self._safe[step.tp] = step.position
        return dict(self._safe)

    async def settle(self, timeout_s: float) -> bool:
        """Wait until everything added so far is acknowledged.

        Returns:
            False when that did not happen within ``timeout_s``.
        """
        pending = [future for step in self._steps for future in step.pending]
        if pending:
            _, late = await asyncio.wait(pending, timeout=timeout_s)
            return not late
        return True

    def forget(self, tps: Collection[TP]) -> None:
        """Drop partitions that belong to another worker now: committing them would take its commits back."""
        for tp in tps:
            self._safe.pop(tp, None)
        self._steps = deque(step if step.tp not in tps else step._replace(tp=None) for step in self._steps)

    def __len__(self) -> int:
        """Steps that wait for an acknowledgement."""
        return len(self._steps)
