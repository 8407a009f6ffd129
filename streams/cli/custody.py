"""``m1cep custody``: releases asked for, approved and watched; vaults; keys; the audit log."""

from __future__ import annotations

import uuid
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from streams.cli import custody_alerts, custody_keys, custody_policy, custody_reserves, custody_vaults
from streams.cli.custody_common import (
    ROSTER,
    WIDTH,
    As,
    AsJson,
    Key,
    RosterFile,
    VaultName,
    check_answered,
    counter_for,
    roster_of,
    say,
    who,
)
from streams.errors import ShellError

if TYPE_CHECKING:
    from m1cep.custody.request import Request
    from streams.custody.counter import Counter
    from streams.custody.roster import Roster
    from streams.custody.view import Seen

app = typer.Typer(help="Keys shared by many signers, and releases that they sign.", no_args_is_help=True)
for command in (
    custody_keys.identity,
    custody_keys.owner,
    custody_keys.backup,
    custody_keys.restore,
    custody_keys.recover,
    custody_vaults.vaults,
    custody_vaults.keygen,
    custody_vaults.refresh,
    custody_vaults.reshare,
    custody_vaults.repair,
    custody_vaults.fund,
    custody_vaults.audit,
    custody_vaults.audit_copy,
    custody_alerts.alerts,
    custody_policy.policy,
    custody_reserves.attest,
    custody_reserves.sign_statement,
):
    app.command()(command)

Id = Annotated[str, typer.Argument(help="Of the request.")]
_ENDED = frozenset({"confirmed", "rejected", "expired", "cancelled"})
_STYLES = {"confirmed": "green", "rejected": "bold red", "expired": "yellow", "cancelled": "dim", "refused": "bold red"}


@app.command(epilog="Example: m1cep custody key alice.key")
def key(
    file: Annotated[Path, typer.Argument(help="Where the key is kept; not there yet.")], as_json: AsJson = False
) -> None:
    """Make a key for a person or service and print its public key, for the policy or the roster."""
    from streams.custody.seeds import make_seed

    public = make_seed(file).hex()
    say({"file": str(file), "public_key": public}, public, as_json)


@app.command(epilog="Example: m1cep custody request alice-btc bcrt1q... 0.015 --as alice --key alice.key --wait 60")
def request(  # noqa: PLR0913, PLR0917 - the options of a command
    vault: VaultName,
    to: Annotated[str, typer.Argument(help="Address on the vault's chain.")],
    amount: Annotated[str, typer.Argument(help="Of the vault's asset, such as 0.015.")],
    name: As,
    key: Key,
    custody: RosterFile = ROSTER,
    request_id: Annotated[
        str | None, typer.Option("--id", help="Said twice it counts once; default: a new one.")
    ] = None,
    expires: Annotated[int, typer.Option(min=1, help="Seconds after which nobody signs.")] = 3600,
    not_before: Annotated[
        int, typer.Option(min=0, help="Seconds before which nobody signs: a time lock, or escrow.")
    ] = 0,
    escrow: Annotated[bool, typer.Option(help="Wait for every alert on the account to be closed.")] = False,
    lock: Annotated[
        str, typer.Option(help="Of a cross-chain transfer: VAULT:AMOUNT that is locked until this is released.")
    ] = "",
    payee: Annotated[
        str, typer.Option(help="With --lock: address that gets what is locked when this is released.")
    ] = "",
    memo: Annotated[str, typer.Option(help="Shown to those who approve.")] = "",
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for the end.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Ask for a release from a vault."""
    from streams.custody.making import make_request
    from streams.custody.view import Seen

    roster, pen = who(custody, name, key)
    made = make_request(
        roster,
        vault,
        to,
        amount,
        pen.sender,
        request_id or f"r-{uuid.uuid4().hex[:12]}",
        expires,
        not_before,
        escrow,
        (lock, payee),
        memo,
    )
    with counter_for(roster) as counter:
        seen = counter.view.requests.setdefault(made.id, Seen(made.id))
        answers, known = seen.answers, len(seen.refused)
        counter.ask(pen, made)
        check_answered(counter.wait(lambda _: seen.answers > answers))
        if len(seen.refused) > known:
            raise ShellError(f"request {made.id} is refused: {seen.refused[-1]}")
        counter.wait(lambda _: seen.state in _ENDED, wait or 0.3)
        _show([seen], roster, as_json=as_json)


@app.command(epilog="Example: m1cep custody payout r-1 --as bob --key bob.key")
def payout(request_id: Id, name: As, key: Key, custody: RosterFile = ROSTER, as_json: AsJson = False) -> None:
    """Ask once more for the payout of a lock whose release has happened: the first came by itself, and has ended unpaid."""
    from streams.custody.making import make_payout
    from streams.custody.view import Seen

    roster, pen = who(custody, name, key)
    with counter_for(roster) as counter:
        known = counter.view.requests
        made = make_payout(roster, _contents(_seen(counter, request_id)), pen.sender, known)
        seen = known.setdefault(made.id, Seen(made.id))
        counter.ask(pen, made)
        check_answered(counter.wait(lambda _: seen.answers > 0))
        if seen.refused:
            raise ShellError(f"request {made.id} is refused: {seen.refused[-1]}")
        _show([seen], roster, as_json=as_json)


@app.command(epilog="Example: m1cep custody approve r-1 --as bob --key bob.key")
def approve(request_id: Id, name: As, key: Key, custody: RosterFile = ROSTER, as_json: AsJson = False) -> None:
    """Approve exactly the request that is shown."""
    _word(request_id, name, key, custody, approve=True, as_json=as_json)


@app.command(epilog="Example: m1cep custody reject r-1 --as bob --key bob.key")
def reject(request_id: Id, name: As, key: Key, custody: RosterFile = ROSTER, as_json: AsJson = False) -> None:
    """Refuse a request; where people have to approve, that rejects it."""
    _word(request_id, name, key, custody, approve=False, as_json=as_json)


@app.command(epilog="Example: m1cep custody cancel r-1 --as alice --key alice.key")
def cancel(request_id: Id, name: As, key: Key, custody: RosterFile = ROSTER, as_json: AsJson = False) -> None:
    """Take back a request of your own, unless it is being signed."""
    roster, pen = who(custody, name, key)
    with counter_for(roster) as counter:
        seen = _seen(counter, request_id)
        known = len(seen.refused)
        counter.cancel(pen, _contents(seen))
        check_answered(counter.wait(lambda _: seen.state in _ENDED or len(seen.refused) > known))
        if len(seen.refused) > known:
            raise ShellError(f"request {request_id}: {seen.refused[-1]}")
        _show([seen], roster, as_json=as_json)


@app.command(epilog="Example: m1cep custody status --json")
def status(
    request_id: Annotated[str | None, typer.Argument(help="Of one request; default: all.")] = None,
    custody: RosterFile = ROSTER,
    history: Annotated[bool, typer.Option(help="Read all that was ever said: requests of long ago too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show where requests stand: how many of the signers would sign, and why others would not.

    Those that expired more than an hour ago are shown with --history only.
    """
    roster = roster_of(custody)
    with counter_for(roster, history=history) as counter:
        found = [_seen(counter, request_id)] if request_id else list(counter.view.requests.values())
    if not found and not as_json:
        typer.echo("There are no requests; `m1cep custody request` makes one.")
        return
    _show(found, roster, as_json=as_json)


def _seen(counter: Counter, request_id: str) -> Seen:
    found = counter.view.requests.get(request_id)
    if found is None:
        known = ", ".join(list(counter.view.requests)[-5:]) or "none"
        raise ShellError(
            f"there is no request {request_id!r}",
            f"the newest are: {known}; of one that expired more than an hour ago: m1cep custody status {request_id} --history",
        )
    return found


def _contents(seen: Seen) -> Request:
    if seen.request is None:
        raise ShellError(
            f"request {seen.id} is {seen.state}, and its contents were not shown to signers yet; try again"
        )
    return seen.request


def _word(request_id: str, name: str, key: Path, custody: Path, *, approve: bool, as_json: bool) -> None:
    roster, pen = who(custody, name, key)
    with counter_for(roster) as counter:
        seen = _seen(counter, request_id)
        known = len(seen.refused)
        contents = _contents(seen)
        counter.say(pen, contents, approve=approve)

        def heard() -> bool:
            mine = [one for one in seen.approvals if one.approver == pen.sender and one.approve == approve]
            return bool(mine) or seen.state in _ENDED or len(seen.refused) > known

        check_answered(counter.wait(lambda _: heard()))
        if len(seen.refused) > known:
            raise ShellError(f"request {request_id}: {seen.refused[-1]}")
        counter.wait(lambda _: seen.state in _ENDED, 0.5)
        _show([seen], roster, as_json=as_json)


def _show(found: list[Seen], roster: Roster, *, as_json: bool) -> None:
    plain = [one.plain(roster) for one in found]
    if as_json:
        for one in plain:
            typer.echo(orjson.dumps(one))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("request", "vault", "amount", "to", "state", "would sign", "reason")
    for one in plain:
        about = one["request"] or {}
        accepted = sum(vote["word"] == "accept" for vote in one["votes"].values())
        progress = f"{accepted} of {one['threshold']}" if one["threshold"] else ""
        others = [
            f"signer {s} {v['word']} ({v['rule']}): {v['reason']}"
            for s, v in one["votes"].items()
            if v["word"] != "accept"
        ]
        reasons = [one["reason"], *(others if one["state"] not in _ENDED else ()), *one["refused"]]
        words = "; ".join(filter(None, reasons)) + (" (may be on the chain yet)" if one["unresolved"] else "")
        state = f"[{_STYLES.get(one['state'], 'cyan')}]{one['state']}[/]"
        cells = (one["id"], about.get("vault", ""), one["shown"] or "", about.get("destination", ""))
        table.add_row(*map(escape, cells), state, progress, escape(words))
    Console(width=max(Console().width, WIDTH)).print(table)
