"""``m1cep demo``: everything at once, on this machine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

INTERRUPTED = 130  # 128 + SIGINT, as shells report it

Seconds = Annotated[
    float | None, typer.Option(min=1, help="End after so many seconds; default: when the data is through.")
]
Speed = Annotated[
    float | None, typer.Option(min=0.01, help="Multiple of real time; default: as fast as the worker follows.")
]


def demo(
    seconds: Seconds = None,
    speed: Speed = None,
    json: Annotated[bool, typer.Option("--json", help="Only JSON lines on stdout: alerts, then the summary.")] = False,
    seed: Annotated[int, typer.Option(help="Of the synthetic account flow.")] = 7,
    real: Annotated[bool, typer.Option("--real/--no-real", help="With the real market data, fetched once.")] = True,
    attacks: Annotated[bool, typer.Option("--attacks/--no-attacks", help="With planted attacks.")] = True,
) -> None:
    """Start a broker, a worker and two data flows here, and show the alerts that come of them.

    The market data is real (Bitstamp BTC/USD, 30 minutes, fetched from the package index); the account flow is SYNTHETIC, with
    attacks planted at known times.

    Example: m1cep demo --seconds 45
    """
    from streams.cli.servers import stop_on_signals
    from streams.config import load_settings
    from streams.demo.director import Demo, DemoOptions
    from streams.demo.show import show_for
    from streams.logs import configure_logs

    settings = load_settings()
    configure_logs("warning")
    stop = stop_on_signals()
    show = show_for(as_json=json)
    try:
        options = DemoOptions(seconds=seconds, speed=speed, seed=seed, real=real, attacks=attacks)
        summary = Demo(settings, options, show, stop).run()
    finally:
        show.close()
    if summary is None:
        print("m1cep demo: ended before it began to feed", file=sys.stderr)
        sys.exit(INTERRUPTED)
    show.end(summary)
