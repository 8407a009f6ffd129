"""``m1cep data fetch|synthetic``: real and made-up events as files, for the demo, for replay, for tests."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated, Any

import orjson
import typer

from streams.cli.output import counted
from streams.cli.progress import ProgressBar
from streams.config import load_settings
from streams.errors import UsageError

app = typer.Typer(help="Get real market data, or make up an account flow.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


class Source(StrEnum):
    """What can be fetched."""

    BITSTAMP = "bitstamp"


@app.command(epilog="Example: m1cep data fetch bitstamp")
def fetch(
    source: Annotated[Source, typer.Argument(help="30 minutes of Bitstamp's BTC/USD orders and trades.")],
    as_json: AsJson = False,
) -> None:
    """Get market data from the package index into M1CEP_HOME and convert it to events; once, then it is there.

    The data comes in the package ob-analytics 0.1.0 (GPL-2.0-or-later), which is not installed.
    """
    from streams.demo import dataset

    began_s = time.monotonic()
    settings = load_settings()
    with ProgressBar("fetching", total=dataset.EVENTS_ABOUT) as bar:
        data, made = dataset.fetch(settings.folder(), lambda what, done: bar.update(done, what))
    if as_json:
        facts = {"source": source.value, "fetched": made, "seconds": round(time.monotonic() - began_s, 3)}
        typer.echo(orjson.dumps(facts | {"market": str(data.market), "book": str(data.book)} | data.manifest))
        return
    events = data.manifest["events"]
    typer.echo(f"{'fetched' if made else 'already there'}: {events['market']} market events in {data.market}")
    typer.echo(f"the {events['book']} orders resting at the beginning: {data.book}")
    typer.echo(
        f"licence of the data: {data.manifest['source']['licence']} (ob-analytics {data.manifest['source']['version']})"
    )


@app.command(epilog="Example: m1cep data synthetic --out flow --minutes 30 --seed 7")
def synthetic(  # noqa: PLR0913, PLR0917 - options, all by name
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder to write orders, fills, accounts .ndjson into.")],
    minutes: Annotated[float, typer.Option(min=1, help="Event time that the flow covers.")] = 30.0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same events.")] = 1,
    accounts: Annotated[int, typer.Option(min=30, help="How many there are.")] = 300,
    events_per_minute: Annotated[int, typer.Option(min=1, help="About so many a minute of event time.")] = 10_000,
    attacks: Annotated[bool, typer.Option(help="Plant attacks; planted.json says which.")] = True,
    attacks_per_family: Annotated[int, typer.Option(min=1, help="Of each of the four families.")] = 3,
    bad_records: Annotated[int, typer.Option(min=0, help="Damaged records among them.")] = 0,
    start_ms: Annotated[int, typer.Option(help="Event time of the beginning, epoch ms.")] = 1_777_689_381_000,
    as_json: AsJson = False,
) -> None:
    """Write a made-up flow of orders, fills and account events, SYNTHETIC, with attacks at known times."""
    from streams.demo.synthetic import STREAMS, SyntheticFlow

    try:
        flow = SyntheticFlow(
            seed,
            start_ms,
            int(minutes * 60_000),
            accounts=accounts,
            events_per_minute=events_per_minute,
            attacks=attacks,
            attacks_per_family=attacks_per_family,
            bad_records=bad_records,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    try:
        out.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened, ProgressBar("writing", total=minutes * events_per_minute) as bar:
            files = {name: opened.enter_context((out / f"{name}.ndjson").open("wb")) for name in STREAMS}
            counts: Counter[str] = Counter()
            for n, (stream, event) in enumerate(flow):
                counts[stream] += 1
                files[stream].write(event if isinstance(event, bytes) else orjson.dumps(event))
                files[stream].write(b"\n")
                if n % 5_000 == 0:
                    bar.update(n)
        planted = [asdict(attack) for attack in flow.planted]
        (out / "planted.json").write_bytes(
            orjson.dumps(planted, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        )
    except OSError as error:
        raise UsageError(f"{error.filename or out} cannot be written: {error.strerror}") from error
    facts: dict[str, Any] = {"out": str(out), "seed": seed, "events": dict(counts), "planted": len(planted)}
    if as_json:
        typer.echo(orjson.dumps(facts))
        return
    typer.echo(
        f"synthetic, seed {seed}: {counts.total():,} events and {counted(len(planted), 'planted attack')} in {out}"
    )
    for name in STREAMS:
        typer.echo(f"  {name}.ndjson  {counts[name]:,} events")
