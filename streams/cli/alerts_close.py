"""``m1cep alerts close``: alerts by their ids, or all of a rule, an account, a severity from before a moment."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.cli.alerts_common import Account, By, RuleName, Severity, filter_of, set_states, tell, text_of
from streams.cli.options import BEFORE_HELP, before_ms
from streams.cli.output import AsJson  # noqa: TC001 - typer reads the annotations
from streams.errors import UsageError
from streams.user import user_name

if TYPE_CHECKING:
    from streams.alerts.bulk import BulkClosing

_STDIN = ["-"]


def close(  # noqa: PLR0913, PLR0917 - the options of a command
    ids: Annotated[
        list[str] | None,
        typer.Argument(help="Ids of the alerts; - reads them from stdin, one a line, or what --json prints."),
    ] = None,
    rule: RuleName = None,
    severity: Severity = None,
    account: Account = None,
    before: Annotated[str | None, typer.Option(help=BEFORE_HELP)] = None,
    note: Annotated[str, typer.Option("--note", "--reason", help="Why, for others.")] = "",
    by: By = None,
    name: Annotated[
        str | None,
        typer.Option("--as", help="Your name in the custody policy, whose signers heed only what is signed."),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Your key for custody: m1cep custody key FILE makes one.")] = None,
    gone: Annotated[
        bool, typer.Option("--gone", help="With -: also those that the topic does not hold any more, but signers do.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be closed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say that alerts are dealt with: they stand against no order any more.

    Of ids that are named all are closed, or none. Without ids: all that were received before --before and are of the --rule, the
    --account, the --severity; --reason is needed then. Interrupted, the same command goes on with the rest.

    In custody too with --as and --key, where the policy lets you; of an alert that is closed already this adds your signature.

    Example: m1cep alerts close 4f1c0b6a... --note 'false alarm' --as bob --key bob.key

    Example: m1cep alerts close --rule spoofing --before '7 d' --reason 'a threshold that was too low'
    """
    from m1cep.alert_states import State

    if (name is None) != (key is None):
        raise UsageError("--as and --key belong together: a name of the custody policy and its key")
    pen = None
    if name is not None and key is not None:
        from streams.custody.seeds import load_pen

        pen = load_pen(name, key)
    who, filters = by or name or user_name(), (rule, severity, account)
    many = not ids or ids == _STDIN
    _check(ids or [], filters, before, note, gone=gone, dry_run=dry_run)
    if many:
        _close_many(_found(ids or [], filters, before, pen, gone=gone), who, note, dry_run=dry_run, as_json=as_json)
    else:
        set_states(ids or [], State.CLOSED, who, note, pen=pen, as_json=as_json)


def _check(
    ids: list[str], filters: tuple[str | None, ...], before: str | None, note: str, *, gone: bool, dry_run: bool
) -> None:
    """Refuse what could close more than is meant."""
    if ids and (before is not None or any(filters)):
        raise UsageError("expected ids, or --before with --rule, --account or --severity; got both")
    if not ids and (before is None or not any(filters)):
        raise UsageError(
            "expected ids of alerts, or --before WHEN with at least one of --rule, --account, --severity",
            "all of them: --severity info --before '0 s'",
        )
    if ids != _STDIN and gone:
        raise UsageError("--gone belongs to a list of ids on stdin: m1cep alerts close - --gone")
    if ids and ids != _STDIN and dry_run:
        raise UsageError("--dry-run is for many alerts: with --before, or ids on stdin")
    if (not ids or ids == _STDIN) and not note and not dry_run:
        raise UsageError("expected --reason: many alerts are closed at once, and others will ask why")


def _found(
    ids: list[str], filters: tuple[str | None, str | None, str | None], before: str | None, pen: Any, *, gone: bool
) -> BulkClosing:
    from streams.alerts.bulk import BulkClosing
    from streams.cli.progress import ProgressBar
    from streams.config import load_settings

    wanted, until_ms = filter_of(*filters), before_ms(before or "0 s")
    closing = BulkClosing(load_settings(), pen)
    if ids:
        closing.name([_id_in(line) for line in sys.stdin if line.strip()], gone=gone)
    else:
        with ProgressBar("reading alerts", total=1.0) as bar:
            closing.select(wanted, until_ms, bar.update)
    return closing


def _id_in(line: str) -> str:
    """The id in a line: alone, or in an object as other commands print it."""
    if not line.startswith("{"):
        return line.strip()
    try:
        found = orjson.loads(line)["alert"]
        return str(found["id"] if isinstance(found, dict) else found)
    except (orjson.JSONDecodeError, KeyError):
        raise UsageError(f'expected an id in each line, or an object with "alert", got {line[:60]!r}') from None


def _close_many(closing: BulkClosing, by: str, note: str, *, dry_run: bool, as_json: bool) -> None:
    from streams.cli.progress import ProgressBar

    if dry_run:
        _tell_plan(closing, as_json=as_json)
        return
    done = 0
    with ProgressBar("closing alerts", total=len(closing.found)) as bar:
        for records in closing.close(by, note):
            done += len(records)
            bar.update(done)
            for record in records if as_json else ():
                tell(record, as_json=True)
    if not as_json:
        typer.echo(
            f"{done:,} alerts are closed by {text_of(by)}" if done else "There are no such alerts that are not closed."
        )


def _tell_plan(closing: BulkClosing, *, as_json: bool) -> None:
    if as_json:
        for alert, about in closing.found.items():
            typer.echo(orjson.dumps({"alert": alert, **about}))
        return
    rules = Counter(str(about["rule"]) for about in closing.found.values())
    typer.echo(f"{rules.total():,} alerts would be closed")
    for rule, count in rules.most_common():
        typer.echo(f"  {count:>9,} {text_of(rule) or '(of rules that nobody knows)'}")
