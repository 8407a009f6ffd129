"""All sections in one run, and the document that comes of it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.bench import keys, loops, replays
from streams.bench.flink import flink_figures
from streams.bench.measure import machine
from streams.bench.setup import FULL, QUICK, Setup
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.bench.figures import Section
    from streams.bench.flink import FlinkFigures

SECTIONS: dict[str, Callable[[Setup], Section]] = {
    "kinds": replays.kinds,
    "pack": replays.pack,
    "rules": replays.many,
    "length": loops.length,
    "nested": loops.nested,
    "keys": keys.keys,
}


@dataclass(frozen=True, slots=True)
class Document:
    """What a run found."""

    machine: dict[str, Any]
    quick: bool
    runs: int
    flink: FlinkFigures
    sections: list[Section]

    def to_dict(self) -> dict[str, Any]:
        """For JSON. ``targets`` are all of them once more, in short."""
        judged = [
            {"section": section.name, "what": row.what, "target": str(target), "figure": row.figures[target.figure]}
            | {"reached": reached}
            for section in self.sections
            for row in section.rows
            for target, reached in row.judged()
        ]
        return {
            "m1cep": version("m1cep"),
            "machine": self.machine,
            "quick": self.quick,
            "runs": self.runs,
            "flink": {"source": self.flink.source, "events_per_s": self.flink.events_per_s},
            "sections": [section.to_dict() for section in self.sections],
            "targets": judged,
        }


def benchmark(
    only: Sequence[str] = (),
    *,
    quick: bool = False,
    runs: int | None = None,
    flink_python: str | None = None,
    step: Callable[[str], None] = lambda _what: None,
) -> Document:
    """Measure.

    Args:
        only: names of SECTIONS; all by default.
        quick: small: shows that it works, its figures mean little.
        runs: turns that are taken, figures are medians of them; default 5, quick 1.
        flink_python: an interpreter with apache-flink, to run the same rules on Flink here.
        step: called with what is measured next.

    Raises:
        UsageError: there is no such section.
        ShellError: Flink failed.
    """
    unknown = [name for name in only if name not in SECTIONS]
    if unknown:
        raise UsageError(f"there is no benchmark {unknown[0]!r}", f"there are: {', '.join(SECTIONS)}")
    sizes = QUICK if quick else FULL
    runs = runs or (1 if quick else 5)
    found = machine()  # before: the load that others make, not ours
    with tempfile.TemporaryDirectory(prefix="m1cep-bench-") as folder:
        flink = flink_figures(flink_python, sizes.events, step)
        setup = Setup(sizes, runs, Path(folder), flink, step)
        sections = [measure(setup) for name, measure in SECTIONS.items() if not only or name in only]
    return Document(found, quick, runs, flink, sections)
