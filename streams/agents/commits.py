"""Which positions may be committed: those before which every message is acknowledged."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from faust.types import TP


class _Step(NamedTuple):
    positions: Mapping[TP, int]
    pending: list[asyncio.Future[Any]]


class CommitLog:
    """Steps in the order in which they were processed, each with the acknowledgements that it waits for.

    A step becomes committable when it and *all steps before it* are acknowledged, whatever their partition: an alert
    can follow from events of several topics, and order is cheaper to keep than to reason about.
    """

    def __init__(self) -> None:
        self._steps: deque[_Step] = deque()
        self._safe: dict[TP, int] = {}

    def add(self, positions: Mapping[TP, int], pending: list[asyncio.Future[Any]]) -> None:
        """Note a step.

        Args:
            positions: what may be committed once the step and all before it are acknowledged.
            pending: acknowledgements to wait for.
        """
        if pending or self._steps:
            self._steps.append(_Step(positions, pending))
        else:
            self._safe.update(positions)

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
            self._safe.update(step.positions)
        return dict(self._safe)

    async def settle(self) -> None:
        """Wait until everything added so far is acknowledged or has failed."""
        if pending := [future for step in self._steps for future in step.pending]:
            await asyncio.wait(pending)

    def forget(self, tps: Collection[TP]) -> None:
        """Drop partitions that belong to another worker now: committing them would take its commits back."""
        for tp in tps:
            self._safe.pop(tp, None)
        self._steps = deque(
            _Step({tp: at for tp, at in step.positions.items() if tp not in tps}, step.pending) for step in self._steps
        )

    def __len__(self) -> int:
        """Steps that wait for an acknowledgement."""
        return len(self._steps)
