"""The embedded servers alone, in the foreground: ``m1cep broker``, ``m1cep cache``."""

from __future__ import annotations

import signal
import threading
from shlex import quote
from typing import Annotated, Any

import orjson
import typer

CACHE_PORT = 6379  # Redis's and Valkey's own
CHECK_S = 0.2


def broker(
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port on 127.0.0.1; the next free one if it is taken. Default: M1CEP_BROKER's."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the address as one JSON object.")] = False,
) -> None:
    """Run the embedded Kafka broker until Ctrl-C or SIGTERM. It keeps everything in memory.

    Example: m1cep broker --port 9092
    """
    from streams.config import load_settings
    from streams.embedded import EmbeddedBroker

    settings = load_settings()
    stop = stop_on_signals()
    with EmbeddedBroker(settings.folder("embedded"), port or settings.broker_port) as server:
        if as_json:
            facts = {"broker": server.address, "port_asked": server.port_asked, "pid": server.process.pid}
            typer.echo(orjson.dumps(facts | {"cluster_id": server.cluster_id, "log": str(server.process.log_path)}))
        else:
            typer.echo(f"Broker ready on {server.address}, in memory only. Ctrl-C ends it.")
            if server.port != settings.broker_port:
                typer.echo(f"Other commands find it with: export M1CEP_BROKER={server.address}")
        while not stop.wait(CHECK_S):
            server.check()


def cache(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port on 127.0.0.1; the next free one if it is taken. Default: 6379."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print where it is as one JSON object.")] = False,
) -> None:
    """Run the embedded cache (Valkey) until Ctrl-C or SIGTERM. What it keeps is there again at the next start.

    Example: m1cep cache
    """
    from streams.config import load_settings
    from streams.durable import replace
    from streams.embedded import EmbeddedCache

    settings = load_settings()
    stop = stop_on_signals()
    with EmbeddedCache(settings.folder("embedded", "cache"), port or CACHE_PORT) as server:
        url_file = server.folder / "url"
        replace(url_file, server.url.get_secret_value().encode())
        if as_json:
            facts = {"cache": f"127.0.0.1:{server.port}", "url_file": str(url_file), "pid": server.process.pid}
            typer.echo(orjson.dumps(facts | {"log": str(server.process.log_path)}))
        else:
            typer.echo(f"Cache ready on 127.0.0.1:{server.port}; its data is in {server.folder}. Ctrl-C ends it.")
            typer.echo(f'Other commands find it with: export M1CEP_CACHE_URL="$(cat {quote(str(url_file))})"')
        while not stop.wait(CHECK_S):
            server.check()


def stop_on_signals() -> threading.Event:
    """An event that Ctrl-C, SIGTERM and SIGHUP set from now on, in place of ending the process."""
    stop = threading.Event()

    def ask_to_stop(*_: Any) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask_to_stop)
    return stop
