"""What the commands of ``m1cep alerts`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.cli import completion as complete
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from m1cep.alert_states import AlertState, State
    from streams.alerts.topic import Seen

Ids = Annotated[list[str], typer.Argument(help="Ids of the alerts.")]
RuleName = Annotated[str | None, typer.Option(help="Only of this rule.", autocompletion=complete.rules)]
Severity = Annotated[str | None, typer.Option(help="Only those at least so grave: info, low, medium, high, critical.")]
Account = Annotated[str | None, typer.Option(help="Only of this account.")]
Note = Annotated[str, typer.Option(help="Why, for others.")]
By = Annotated[str | None, typer.Option(help="Who says so; default: the user of this machine.")]


def filter_of(rule: str | None, severity: str | None, account: str | None) -> Callable[[Seen], bool]:
    """What says of an alert whether the options want it.

    Raises:
        UsageError: there is no such severity.
    """
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


def set_states(ids: Sequence[str], to: State, by: str, note: str, *, pen: Any = None, as_json: bool) -> None:
    """Bring alerts to a state, and say so."""
    from streams.alerts import desk
    from streams.config import load_settings

    for record in desk.set_states(load_settings(), ids, to, by, note=note, pen=pen):
        tell(record, as_json=as_json)


def tell(record: AlertState, *, as_json: bool) -> None:
    """Print a record that was written."""
    if as_json:
        typer.echo(record.to_json())
    else:
        words = (
            f"alert {text_of(record.alert)} of {text_of(record.rule)} is {record.state.value} by {text_of(record.by)}"
        )
        typer.echo(words)


def text_of(value: Any) -> str:
    """On one line, with nothing in it that could steer the terminal."""
    from streams.errors import one_line

    return one_line(value if isinstance(value, str) else orjson.dumps(value, default=str).decode())
