"""Puts the commands together, and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys

import typer

from m1cep.errors import M1cepError, RuleError
from streams.cli import (
    alerts,
    bench,
    completion,
    custody,
    data,
    database,
    demo,
    doctor,
    grid,
    ledger,
    lists,
    notify,
    pretrade,
    produce,
    replay,
    rules,
    schemas,
    servers,
    soak,
    status,
    topics,
    values,
    worker,
)
from streams.errors import ExitCode, ShellError
from streams.logs import configure_logs, without_secrets

app = typer.Typer(
    name="m1cep",
    help="Real-time risk rules in SQL on Kafka.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("worker")(worker.worker)
app.command("replay")(replay.replay)
app.command("status", epilog=status.EXAMPLE)(status.status)
app.add_typer(rules.app, name="rules")
app.command("produce")(produce.produce)
app.add_typer(topics.app, name="topics")
app.add_typer(data.app, name="data")
app.add_typer(grid.app, name="grid")
app.add_typer(alerts.app, name="alerts")
app.add_typer(notify.app, name="notify")
app.add_typer(lists.app, name="lists")
app.add_typer(values.params, name="params")
app.add_typer(values.templates, name="templates")
app.add_typer(custody.app, name="custody")
app.add_typer(pretrade.app, name="pretrade")
app.add_typer(ledger.app, name="ledger")
app.command("completion")(completion.completion)
app.command("doctor")(doctor.doctor)
app.command("schemas")(schemas.schemas)
app.command("bench")(bench.bench)
app.command("soak")(soak.soak)
app.command("broker")(servers.broker)
app.command("cache")(servers.cache)
app.add_typer(database.app, name="db")


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"m1cep {version('m1cep')}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Real-time risk rules in SQL on Kafka."""


def main() -> None:
    """Run ``m1cep``. Exit codes: 0 fine, 1 failed or a bad rule, 2 bad usage, 3 a server is missing, 4 no package index."""
    if completion.ASKED in os.environ:  # by a shell, at Tab
        completion.prepare()
    configure_logs()
    try:
        app()
    except RuleError as error:
        print(error, file=sys.stderr)
        sys.exit(ExitCode.FAILURE)
    except ShellError as error:
        print(without_secrets(f"m1cep: {error}"), file=sys.stderr)  # a library's words may repeat what it was given
        sys.exit(error.exit_code)
    except M1cepError as error:
        print(f"m1cep: {error}", file=sys.stderr)
        sys.exit(ExitCode.FAILURE)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # whoever read our output has gone: `m1cep replay ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush does not fail too
        sys.exit(ExitCode.OK)
