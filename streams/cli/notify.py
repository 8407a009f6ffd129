"""``m1cep notify``: alerts that leave; a test of a target, and what it did not get once more."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from streams.notify.targets import Target

app = typer.Typer(help="Alerts to webhooks and Alertmanager (the agent notify).", no_args_is_help=True)

TargetsFile = Annotated[Path | None, typer.Option(help="Where alerts go (TOML); default: M1CEP_NOTIFY.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one object a line.")]


@app.command("test", epilog="Example: m1cep notify test oncall --targets targets.toml")
def send_test(
    target: Annotated[str, typer.Argument(help="Name of the target.")],
    targets: TargetsFile = None,
    as_json: AsJson = False,
) -> None:
    """Send an alert that says that it is a test, and print the answer. Exit code 0: it was taken, 1: it was not."""
    from streams.notify import desk

    found = _targets(targets)
    name, answer = asyncio.run(desk.send_test(_of(found, target)))
    if as_json:
        said = {"target": target, "alert": name, "arrived": answer.arrived, "status": answer.status}
        typer.echo(orjson.dumps(said | {"reason": answer.reason}))
    else:
        typer.echo(f"{target}: {_words(answer)} (alert {name})")
    raise typer.Exit(ExitCode.OK if answer.arrived else ExitCode.FAILURE)


@app.command(epilog="Example: m1cep notify redeliver --target oncall --hours 6")
def redeliver(
    target: Annotated[str | None, typer.Option(help="Only what this one did not get.")] = None,
    alert: Annotated[str | None, typer.Option(help="Only this alert.")] = None,
    hours: Annotated[float, typer.Option(min=0.01, help="Only what was given up in the last so many hours.")] = 24.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    targets: TargetsFile = None,
    as_json: AsJson = False,
) -> None:
    """Send once more what is in the dead letters because targets did not take it; they know it by its id.

    Exit code 0: all of it was taken, 1: some was not.
    """
    from streams.config import load_settings
    from streams.notify.desk import send, undelivered, whole

    known, settings = _targets(targets), load_settings()
    if target is not None:
        _of(known, target)
    letters = [
        one
        for one in undelivered(settings, round((time.time() - hours * 3_600) * 1_000))
        if one.target == (target or one.target) and one.delivery.alert == (alert or one.delivery.alert)
    ]
    complete = {} if dry_run else whole(settings, letters)
    failed = False
    for letter in letters:
        one, answer = letter.delivery, None
        one.value = complete.get(one.key, one.value)
        if letter.target not in known:
            words = "there is no such target any more"
        elif letter.cut and one.key not in complete and not dry_run:
            words = "the letter holds only its beginning, and the topic of alerts not any more"
        elif dry_run:
            words = f"would be sent; {one.what}"
        else:
            answer = asyncio.run(send(known[letter.target], one))
            words = _words(answer)
        arrived = answer is not None and answer.arrived
        failed |= not arrived and not dry_run
        _tell(letter.target, one.alert, words, arrived=arrived, as_json=as_json)
    if not letters and not as_json:
        typer.echo("There is nothing of that in the dead letters.")
    raise typer.Exit(ExitCode.FAILURE if failed else ExitCode.OK)


def _tell(target: str, alert: str, words: str, *, arrived: bool, as_json: bool) -> None:
    from streams.errors import one_line

    if as_json:
        typer.echo(orjson.dumps({"target": target, "alert": alert, "arrived": arrived, "reason": words}))
    else:
        typer.echo(one_line(f"{target}: {alert}: {words}"))


def _words(answer: Any) -> str:
    return f"arrived, status {answer.status}" if answer.arrived else f"not taken: {answer.reason}"


def _targets(file: Path | None) -> dict[str, Target]:
    from streams.config import load_settings
    from streams.notify.targets import load_targets

    path = file or load_settings().notify
    if path is None:
        raise UsageError("expected a file of targets: --targets FILE, or M1CEP_NOTIFY", "see docs/alerts.md")
    return load_targets(path)


def _of(known: dict[str, Target], name: str) -> Target:
    from m1cep.errors import nearest

    if name not in known:
        raise UsageError(f"there is no target {name!r}", nearest(name, known))
    return known[name]
