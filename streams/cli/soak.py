"""``m1cep soak``: load for a chosen time, with faults on purpose, and whether every alert came."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import orjson
import typer


def soak(  # noqa: PLR0913, PLR0917 - the options of a command
    minutes: Annotated[float, typer.Option(min=0.1, help="How long to load.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Of the load and of the faults.")] = 7,
    rate: Annotated[int, typer.Option(min=60, help="Events per second.")] = 1000,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Worker processes that share the work.")] = 2,
    faults: Annotated[
        str, typer.Option(help="kill,pause,join,leave,burst,damage,repeat: some of them; all; none.")
    ] = "all",
    rules: Annotated[
        list[Path] | None,
        typer.Option(help="A rule file or folder; may be repeated. Default: the packaged ones and more."),
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(help="A Kafka broker of yours, host:port, with empty topics. Default: an embedded one."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    report: Annotated[Path | None, typer.Option(dir_okay=False, help="Write the report into this file.")] = None,
    plot: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Draw memory, lag and events into this SVG.")
    ] = None,
) -> None:
    """Load workers for some minutes, hurt them at random moments, and compare the alerts with those of a replay.

    Exit code 0 when no alert is missing, invented or different and memory is flat, else 1. Ctrl-C ends the load early, with a
    report of what was until then.

    Example: m1cep soak --minutes 2 --faults kill,pause
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from streams.cli.progress import ProgressBar
    from streams.cli.servers import stop_on_signals
    from streams.config import load_settings
    from streams.errors import ExitCode, UsageError
    from streams.logs import configure_logs
    from streams.soak.options import SoakOptions, parse_faults
    from streams.soak.plot import draw
    from streams.soak.report import markdown
    from streams.soak.run import Soak

    for file in (report, plot):
        if file is not None and not file.absolute().parent.is_dir():
            raise UsageError(f"{file} cannot be written: there is no folder {file.absolute().parent}")
    options = SoakOptions(
        seconds=minutes * 60,
        seed=seed,
        rate=rate,
        workers=workers,
        faults=parse_faults(faults),
        rules=tuple(rules) if rules else None,
        broker=broker is not None,
    )
    settings = load_settings(broker=broker)
    configure_logs("warning")
    with ProgressBar("starting", total=100) as bar:
        found = Soak(settings, options, stop_on_signals(), lambda what, share: bar.update(100 * share, what)).run()
    if plot is not None:
        plot.write_text(draw(found), encoding="utf-8")
    text = markdown(found, plot.name if plot is not None else None)
    if report is not None:
        report.write_text(text, encoding="utf-8")
    if as_json:
        typer.echo(orjson.dumps(found))
    elif Console().is_terminal:
        Console().print(Markdown(text))
    else:
        typer.echo(text)
    if not found["ok"]:
        print(f"m1cep soak: logs, events, alerts and snapshots are in {found['kept']}", file=sys.stderr)
        raise typer.Exit(ExitCode.FAILURE)
