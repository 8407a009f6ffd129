"""``m1cep alerts``: what the rules have found, and where people stand with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.cli import alerts_close
from streams.cli.alerts_common import Account, By, Ids, Note, RuleName, Severity, filter_of, set_states, text_of
from streams.cli.output import AsJson, event_moment
from streams.errors import UsageError
from streams.user import user_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.alert_states import AlertStates
    from streams.alerts.topic import Seen

app = typer.Typer(help="Alerts, and where people stand with them.", no_args_is_help=True)

_WIDTH = 140  # at least: a file or a pipe has no width of its own
_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "dim"}


@app.command("list", epilog="Example: m1cep alerts list --severity high --account alice")
def list_(
    rule: RuleName = None,
    severity: Severity = None,
    account: Account = None,
    state: Annotated[
        str | None, typer.Option(help="open, acknowledged or closed; default: all that are not closed.")
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="Look at so many of the newest of each partition.")] = 1_000,
    as_json: AsJson = False,
) -> None:
    """List the newest alerts that nobody has closed."""
    from m1cep.alert_states import State
    from streams.alerts.topic import read_states, recent_alerts
    from streams.config import load_settings

    if state is not None and state not in list(State):
        raise UsageError(f"--state expects one of {', '.join(State)}, got {state!r}")
    wanted, settings = filter_of(rule, severity, account), load_settings()
    states = read_states(settings)
    found = [one for one in recent_alerts(settings, last) if wanted(one)]
    if state is None:
        found = [one for one in found if states.of(one.id) is not State.CLOSED]
    else:
        found = [one for one in found if states.of(one.id) == state]
    if as_json:
        for one in found:
            typer.echo(orjson.dumps(_plain(one, states)))
    elif found:
        _table(found, states)
    else:
        typer.echo("There are no such alerts.")


@app.command(epilog="Example: m1cep alerts show 4f1c0b6a... --json")
def show(alert_id: Annotated[str, typer.Argument(help="Id of the alert.")], as_json: AsJson = False) -> None:
    """Show an alert and where it stands."""
    from streams.alerts.topic import find_alerts, read_states
    from streams.config import load_settings

    settings = load_settings()
    found = find_alerts(settings, [alert_id]).get(alert_id)
    if found is None:
        raise UsageError(
            f"there is no alert {alert_id!r} on the topic", "the topic keeps them for 30 days; see `m1cep alerts list`"
        )
    plain = _plain(found, read_states(settings))
    if as_json:
        typer.echo(orjson.dumps(plain))
        return
    for name, value in (*plain.pop("alert").items(), *plain.items()):
        is_time = name == "event_time" or name.endswith("_ms")
        text = event_moment(value) if is_time and isinstance(value, int) else text_of(value)
        typer.echo(f"{name.removesuffix('_ms'):<12} {text}")


@app.command(epilog="Example: m1cep alerts tail --severity high --json")
def tail(rule: RuleName = None, severity: Severity = None, account: Account = None, as_json: AsJson = False) -> None:
    """Print alerts as they come. Ctrl-C ends it."""
    from streams.alerts.topic import parse_alert
    from streams.cli.topics import read_records
    from streams.codec import ALERTS
    from streams.config import load_settings

    wanted = filter_of(rule, severity, account)
    try:
        for record in read_records(load_settings(), ALERTS, from_beginning=False):
            seen = parse_alert(record)
            if seen is not None and wanted(seen):
                typer.echo(orjson.dumps(seen.alert) if as_json else "  ".join(_cells(seen)))
    except KeyboardInterrupt:
        return


@app.command(epilog="Example: m1cep alerts ack 4f1c0b6a... --note 'looking at it'")
def ack(ids: Ids, note: Note = "", by: By = None, as_json: AsJson = False) -> None:
    """Take alerts on: others see that somebody does."""
    from m1cep.alert_states import State

    set_states(ids, State.ACKNOWLEDGED, by or user_name(), note, as_json=as_json)


app.command()(alerts_close.close)


@app.command(epilog="Example: m1cep alerts reopen 4f1c0b6a... --note 'it was none'")
def reopen(ids: Ids, note: Note = "", by: By = None, as_json: AsJson = False) -> None:
    """Say that alerts are not dealt with after all: they stand against orders and releases again."""
    from m1cep.alert_states import State

    set_states(ids, State.OPEN, by or user_name(), note, as_json=as_json)


def _plain(one: Seen, states: AlertStates) -> dict[str, Any]:
    record = states.last.get(one.id)
    return {
        "alert": one.alert,
        "state": states.of(one.id).value,
        "by": record and record.by,
        "time_ms": record and record.time_ms,
        "note": record.note if record else "",
        "signed": [closing.by for closing in record.signed] if record else [],
        "received_ms": one.received_ms,
    }


def _cells(one: Seen) -> tuple[str, ...]:
    moment = datetime.fromtimestamp(one.received_ms / 1000, UTC).isoformat(timespec="seconds")[:19]
    names = (one.id, one.alert.get("rule"), one.alert.get("severity"), one.alert.get("key"))
    return (f"{moment}Z", *map(text_of, names))


def _table(found: Sequence[Seen], states: AlertStates) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("received", "alert", "rule", "severity", "key", "state", "by")
    for one in found:
        record = states.last.get(one.id)
        cells = (*_cells(one), states.of(one.id).value, text_of(record.by) if record else "")
        table.add_row(*map(escape, cells), style=_STYLES.get(str(one.alert.get("severity")), ""))
    Console(width=max(Console().width, _WIDTH)).print(table)
