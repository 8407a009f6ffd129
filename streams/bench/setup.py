"""How large a benchmark is, and what it needs to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.bench.flink import FlinkFigures


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each.

    Attributes:
        events: of a replayed file.
        long_rows: given to the engine for each length of match.
        lengths: of matches, in rows.
        nested_rows: lengths of the run that a loop in a loop reads.
        keys: with one open attempt each.
    """

    events: int
    long_rows: int
    lengths: tuple[int, ...]
    nested_rows: tuple[int, ...]
    keys: tuple[int, ...]


FULL = Sizes(
    events=1_000_000,
    long_rows=200_000,
    lengths=(10, 100, 1_000, 10_000, 100_000),
    nested_rows=(1_000, 10_000, 100_000),
    keys=(1_000, 10_000, 100_000, 1_000_000),
)
QUICK = Sizes(events=20_000, long_rows=2_000, lengths=(10, 100, 1_000), nested_rows=(100, 1_000), keys=(1_000, 10_000))


@dataclass(frozen=True, slots=True)
class Setup:
    """What every section is given.

    Attributes:
        sizes: how much of each.
        runs: turns that are taken; figures are medians of them.
        folder: for files, gone afterwards.
        flink: what to compare with.
        step: called with what is measured next.
    """

    sizes: Sizes
    runs: int
    folder: Path
    flink: FlinkFigures
    step: Callable[[str], None]

    @property
    def events(self) -> int:
        return self.sizes.events
