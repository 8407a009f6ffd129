"""``m1cep bench``: what rules cost, as ratios in one run."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import orjson
import typer

WIDTH = 150  # of the tables, at least: a file or a pipe has no width of its own


def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="Seconds instead of minutes; its figures mean little.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    runs: Annotated[int | None, typer.Option(min=1, help="Turns; figures are medians of them. Default 5.")] = None,
    only: Annotated[str, typer.Option(help="kinds,pack,rules,length,nested,keys: some of them.")] = "",
    plot: Annotated[Path | None, typer.Option(dir_okay=False, help="Draw the figures into this SVG file.")] = None,
    flink: Annotated[
        str | None,
        typer.Option(envvar="M1CEP_FLINK_PYTHON", help="A Python with apache-flink: run the same rules on it here."),
    ] = None,
) -> None:
    """Measure what rules cost: each kind against decoding alone, the packaged ones, many rules, long matches, many keys.

    Each target of the design is printed beside its figure, with whether it was reached. Nothing fails when it was not.

    Example: m1cep bench --only kinds,pack --runs 3
    """
    from rich.console import Console

    from streams.bench.plot import draw
    from streams.bench.report import tables
    from streams.bench.run import benchmark
    from streams.cli.progress import ProgressBar
    from streams.errors import UsageError

    if plot is not None and not plot.parent.is_dir():
        raise UsageError(f"{plot} cannot be written: there is no folder {plot.parent}")
    names = [name.strip() for name in only.split(",") if name.strip()]
    with ProgressBar("measuring") as bar:
        steps = iter(range(1, 1_000_000))
        document = benchmark(
            names, quick=quick, runs=runs, flink_python=flink, step=lambda what: bar.update(next(steps), what)
        )
    found = document.to_dict()
    if plot is not None:
        plot.write_text(draw(found), encoding="utf-8")
    if as_json:
        typer.echo(orjson.dumps(found))
    else:
        Console(width=max(Console().width, WIDTH)).print(tables(document))
