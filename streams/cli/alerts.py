"""``m1cep alerts``: what the rules have found, and where people stand with it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.cli import completion as complete
from streams.cli.output import AsJson, event_moment
from streams.errors import UsageError
from streams.user import user_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from m1cep.alert_states import AlertStates, State
    from streams.alerts.topic import Seen

app = typer.Typer(help="Alerts, and where people stand with them.", no_args_is_help=True)

Ids = Annotated[list[str], typer.Argument(help="Ids of the alerts.")]
RuleName = Annotated[str | None, typer.Option(help="Only of this rule.", autocompletion=complete.rules)]
Severity = Annotated[str | None, typer.Option(help="Only those at least so grave: info, low, medium, high, critical.")]
Account = Annotated[str | None, typer.Option(help="Only of this account.")]
Note = Annotated[str, typer.Option(help="Why, for others.")]
By = Annotated[str | None, typer.Option(help="Who says so; default: the user of this machine.")]

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
    wanted, settings = _filter(rule, severity, account), load_settings()
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
        text = event_moment(value) if is_time and isinstance(value, int) else _text(value)
        typer.echo(f"{name.removesuffix('_ms'):<12} {text}")


@app.command(epilog="Example: m1cep alerts tail --severity high --json")
def tail(rule: RuleName = None, severity: Severity = None, account: Account = None, as_json: AsJson = False) -> None:
    """Print alerts as they come. Ctrl-C ends it."""
    from streams.alerts.topic import parse_alert
    from streams.cli.topics import read_records
    from streams.codec import ALERTS
    from streams.config import load_settings

    wanted = _filter(rule, severity, account)
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

    _set(ids, State.ACKNOWLEDGED, by or user_name(), note, as_json=as_json)


@app.command(epilog="Example: m1cep alerts close 4f1c0b6a... --note 'false alarm' --as bob --key bob.key")
def close(
    ids: Ids,
    note: Note = "",
    by: By = None,
    name: Annotated[
        str | None,
        typer.Option("--as", help="Your name in the custody policy, whose signers heed only what is signed."),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Your key for custody: m1cep custody key FILE makes one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say that alerts are dealt with: they stand against no order any more.

    In custody too with --as and --key, where the policy lets you; of an alert that is closed already this adds your signature.
    """
    from m1cep.alert_states import State

    if (name is None) != (key is None):
        raise UsageError("--as and --key belong together: a name of the custody policy and its key")
    pen = None
    if name is not None and key is not None:
        from streams.custody.seeds import load_pen

        pen = load_pen(name, key)
    _set(ids, State.CLOSED, by or name or user_name(), note, pen=pen, as_json=as_json)


@app.command(epilog="Example: m1cep alerts reopen 4f1c0b6a... --note 'it was none'")
def reopen(ids: Ids, note: Note = "", by: By = None, as_json: AsJson = False) -> None:
    """Say that alerts are not dealt with after all: they stand against orders and releases again."""
    from m1cep.alert_states import State

    _set(ids, State.OPEN, by or user_name(), note, as_json=as_json)


def _set(ids: Sequence[str], to: State, by: str, note: str, *, pen: Any = None, as_json: bool) -> None:
    from streams.alerts.desk import set_states
    from streams.config import load_settings

    for record in set_states(load_settings(), ids, to, by, note=note, pen=pen):
        if as_json:
            typer.echo(record.to_json())
        else:
            typer.echo(f"alert {_text(record.alert)} of {_text(record.rule)} is {record.state.value} by {_text(by)}")


def _filter(rule: str | None, severity: str | None, account: str | None) -> Callable[[Seen], bool]:
    from m1cep.pretrade.limits import SEVERITIES

    if severity is not None and severity not in SEVERITIES:
        raise UsageError(f"--severity expects one of {', '.join(SEVERITIES)}, got {severity!r}")
    grave = SEVERITIES[SEVERITIES.index(severity) :] if severity else None

    def wanted(one: Seen) -> bool:
        return (
            (rule is None or one.alert.get("rule") == rule)
            and (grave is None or one.alert.get("severity") in grave)
            and (account is None or one.account == account)
        )

    return wanted


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
    return (f"{moment}Z", *map(_text, names))


def _table(found: Sequence[Seen], states: AlertStates) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("received", "alert", "rule", "severity", "key", "state", "by")
    for one in found:
        record = states.last.get(one.id)
        cells = (*_cells(one), states.of(one.id).value, _text(record.by) if record else "")
        table.add_row(*map(escape, cells), style=_STYLES.get(str(one.alert.get("severity")), ""))
    Console(width=max(Console().width, _WIDTH)).print(table)


def _text(value: Any) -> str:
    """On one line, with nothing in it that could steer the terminal."""
    from streams.errors import one_line

    return one_line(value if isinstance(value, str) else orjson.dumps(value, default=str).decode())
