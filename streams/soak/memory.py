"""Whether memory grows: from samples of processes that come and go.

A leak is growth *within the life* of a process. The first FILLING_S of the soak are left out, in which windows and the memory
of repeated events fill, and from each life the first WARM_UP_S, in which a process does. Then the slopes between all pairs of
samples of one life that lie at least APART_S apart are taken, of all lives together, and of these slopes the median (Theil and
Sen's estimate): it does not care for the steps when a process takes over partitions of another or gives some away, as long as
there is no tendency.

The verdict: flat when the median slope, kept up over all the time that was observed, would come to no more than ALLOWED_SHARE of
the median memory of a process (and at least ALLOWED_MB, below which the allocator's grain cannot be told from growth).
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FILLING_S = 150.0
WARM_UP_S = 60.0
APART_S = 60.0
ALLOWED_SHARE = 0.15
ALLOWED_MB = 16.0
_MOST_SAMPLES = 400  # of a life: pairs grow with the square

#: Seconds from the start of the soak, and megabytes, of one process from its start to its end.
Life = list[tuple[float, float]]


@dataclass(frozen=True)
class MemoryVerdict:
    """How memory went.

    Attributes:
        lives: processes that lived long enough to be judged.
        median_mb, highest_mb: of one process, after its warm-up.
        slope_mb_per_min: the median slope; None when no life was long enough.
        growth_mb: what the slope comes to over ``observed_s``.
        observed_s: the time from the first sample that counts to the last.
        allowed_mb: the most that ``growth_mb`` may be.
    """

    lives: int
    median_mb: float
    highest_mb: float
    slope_mb_per_min: float | None
    growth_mb: float
    observed_s: float
    allowed_mb: float

    @property
    def flat(self) -> bool | None:
        """Whether memory was flat; None when nothing lived long enough to tell."""
        return None if self.slope_mb_per_min is None else self.growth_mb <= self.allowed_mb


def judge(lives: Sequence[Life]) -> MemoryVerdict:
    """Judge the lives of all processes."""
    settled = [_settled(life) for life in lives]
    slopes: list[float] = []
    judged = 0
    for life in settled:
        found = _slopes(life)
        slopes += found
        judged += bool(found)
    samples = [mb for life in settled for _, mb in life]
    times = [at for life in settled for at, _ in life]
    median_mb = statistics.median(samples) if samples else 0.0
    observed_s = max(times) - min(times) if times else 0.0
    slope = statistics.median(slopes) if slopes else None
    return MemoryVerdict(
        lives=judged,
        median_mb=round(median_mb, 1),
        highest_mb=round(max(samples, default=0.0), 1),
        slope_mb_per_min=None if slope is None else round(slope * 60, 3),
        growth_mb=round(max(0.0, (slope or 0.0) * observed_s), 1),
        observed_s=round(observed_s, 1),
        allowed_mb=round(max(ALLOWED_MB, ALLOWED_SHARE * median_mb), 1),
    )


def _settled(life: Life) -> Life:
    kept = [(at, mb) for at, mb in life if at >= max(FILLING_S, life[0][0] + WARM_UP_S)]
    step = max(1, -(-len(kept) // _MOST_SAMPLES))
    return kept[::step]


def _slopes(life: Life) -> list[float]:
    """Megabytes per second between pairs of samples."""
    return [
        (later_mb - mb) / (later - at)
        for n, (at, mb) in enumerate(life)
        for later, later_mb in life[n + 1 :]
        if later - at >= APART_S
    ]
