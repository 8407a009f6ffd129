"""``m1cep custody vaults|keygen|refresh|reshare|fund|audit``: vaults, their keys, and the coordinator's log."""

from __future__ import annotations

import time
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

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
    new_id,
    roster_of,
    say,
    who,
)
from streams.errors import ServerError, ShellError, UsageError

if TYPE_CHECKING:
    from streams.custody.asks import Ask
    from streams.custody.counter import Counter
    from streams.custody.mail import Pen

#: An entry comes within a fraction of a second of the head that names it, or it is not there.
_ENTRIES_S = 5.0
_CEREMONY_S = 150.0


def vaults(custody: RosterFile = ROSTER, as_json: AsJson = False) -> None:
    """Show the vaults: address, what is free, who signs.

    Example: m1cep custody vaults
    """
    import msgspec
    from rich.console import Console
    from rich.table import Table

    from streams.custody.derive import chain_of

    roster = roster_of(custody)
    with counter_for(roster) as counter:
        stands = counter.view.vaults
    if as_json:
        for name, vault in roster.vaults.items():
            plain = (
                msgspec.to_builtins(stands[name])
                if name in stands
                else {"vault": name, "chain": vault.chain, "key": None}
            )
            typer.echo(orjson.dumps(plain))
        return
    table = Table("vault", "account", "chain", "address", "free", "signers", "epoch")
    for name, vault in roster.vaults.items():
        signers = f"{vault.threshold} of {', '.join(map(str, sorted(vault.signers)))}"
        if name in stands:
            one = stands[name]
            free = chain_of(one.chain).asset.show(int(one.free))
            table.add_row(name, one.account, one.chain, one.address, free, signers, str(one.epoch))
        else:
            table.add_row(name, vault.account, vault.chain, "no key yet: m1cep custody keygen", "", signers, "")
    Console(width=max(Console().width, WIDTH)).print(table)


def keygen(vault: VaultName, name: As, key: Key, custody: RosterFile = ROSTER, as_json: AsJson = False) -> None:
    """Make a vault's key: all its signers together, none of them ever has it whole.

    Example: m1cep custody keygen alice-btc --as bob --key bob.key
    """
    _ceremony("keygen", vault, name, key, custody, as_json=as_json)


def refresh(vault: VaultName, name: As, key: Key, custody: RosterFile = ROSTER, as_json: AsJson = False) -> None:
    """Give the signers new shares of the same key, so that those that may have been stolen are worth nothing.

    Example: m1cep custody refresh alice-btc --as bob --key bob.key
    """
    _ceremony("refresh", vault, name, key, custody, as_json=as_json)


def reshare(vault: VaultName, name: As, key: Key, custody: RosterFile = ROSTER, as_json: AsJson = False) -> None:
    """Share the same key among the signers that the roster names now.

    Example: m1cep custody reshare alice-btc --as bob --key bob.key
    """
    _ceremony("reshare", vault, name, key, custody, as_json=as_json)


def repair(
    vault: VaultName,
    signer: Annotated[int, typer.Option(min=1, max=255, help="Whose share is lost; its process runs without it.")],
    name: As,
    key: Key,
    custody: RosterFile = ROSTER,
    helpers: Annotated[str, typer.Option(help="Who helps, such as 1,3; default: the first who hold a share.")] = "",
    as_json: AsJson = False,
) -> None:
    """Give one signer its lost share again, out of those of others, who learn nothing of it. After a theft refresh instead.

    Example: m1cep custody repair alice-btc --signer 2 --as bob --key bob.key
    """
    try:
        chosen = tuple(int(one) for one in helpers.split(",") if one)
    except ValueError:
        raise UsageError(f"--helpers expects numbers of signers such as 1,3, got {helpers!r}") from None
    _ceremony("repair", vault, name, key, custody, signer, chosen, as_json=as_json)


def fund(
    vault: VaultName,
    amount: Annotated[str, typer.Argument(help="Of the vault's asset, such as 0.5.")],
    name: As,
    key: Key,
    custody: RosterFile = ROSTER,
    as_json: AsJson = False,
) -> None:
    """Pay into a vault from the faucet of a local chain.

    Example: m1cep custody fund alice-btc 0.5 --as bob --key bob.key
    """
    from streams.custody.asks import AskFunds

    roster, pen = who(custody, name, key)
    with counter_for(roster) as counter:
        answer = _ask(counter, pen, AskFunds(new_id(), vault, amount))
        say({"vault": vault, "amount": amount, "answer": answer}, answer, as_json)


def audit(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The coordinator's audit log.")],
    custody: RosterFile = ROSTER,
    as_json: AsJson = False,
) -> None:
    """Verify an audit log from its beginning, and hold it against the heads on Kafka: signed by the signers' group, and by the
    coordinator.

    The group's key is that of the roster's [audit]. Exit code 1: it is broken, and where.

    Example: m1cep custody audit ~/.local/share/m1cep/state/custody/audit-....jsonl
    """
    from streams.custody.auditor import Auditor
    from streams.custody.journal import read_lines

    roster = roster_of(custody)
    with counter_for(roster, history=True) as counter:
        found = Auditor(roster, counter.view).verify(read_lines(file))
    if found.broken is not None:
        raise ShellError(f"{file} is broken at entry {found.broken.seq}: {found.broken.reason}")
    typer.echo(orjson.dumps(found.plain()) if as_json else found.words())


def audit_copy(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="A new file for the log.")],
    custody: RosterFile = ROSTER,
    as_json: AsJson = False,
) -> None:
    """Write the audit log as the signers have it from Kafka into a new file: where the coordinator's own is lost.

    It is verified first, as by `m1cep custody audit`. Put it where the coordinator had its own.

    Example: m1cep custody audit-copy audit-....jsonl
    """
    from streams import durable
    from streams.custody.auditor import Auditor

    roster = roster_of(custody)
    with counter_for(roster, history=True) as counter:
        # Topics are not read at one moment: of a log that goes on, the head may come before the entries that it names.
        counter.wait(lambda view: max(view.log, default=0) >= view.newest_head, _ENTRIES_S)
        lines = [line for _, line in sorted(counter.view.log.items())]
        found = Auditor(roster, counter.view).verify(lines)
    if found.broken is not None:
        raise ShellError(f"the audit log on Kafka is broken at entry {found.broken.seq}: {found.broken.reason}")
    if not lines:
        raise ShellError("no audit log is on Kafka", "it is sent there where the roster has [audit]")
    try:
        durable.create(file, b"\n".join(lines) + b"\n")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}", "it must not be there yet") from error
    typer.echo(orjson.dumps(found.plain()) if as_json else found.words())


def _ask(counter: Counter, pen: Pen, ask: Ask) -> str:
    counter.ask_desk(pen, ask)
    check_answered(counter.wait(lambda view: ask.id in view.answers))
    answer = counter.view.answers[ask.id]
    if not answer.done:
        raise ShellError(answer.reason)
    return answer.reason


def _ceremony(
    kind: str,
    vault: str,
    name: str,
    key: Path,
    custody: Path,
    signer: int = 0,
    helpers: tuple[int, ...] = (),
    *,
    as_json: bool,
) -> None:
    from streams.custody.asks import AskCeremony
    from streams.custody.roster import AUDIT

    roster, pen = who(custody, name, key)
    with counter_for(roster) as counter:
        ask = AskCeremony(new_id(), kind, vault, signer, helpers)
        answer = _ask(counter, pen, ask)
        say({"vault": vault, "ceremony": kind, "state": "asked", "reason": answer}, answer, as_json)
        shown = ""
        deadline_s = time.monotonic() + _CEREMONY_S
        while time.monotonic() < deadline_s:
            counter.listen(100)
            stands = counter.view.ceremonies.get(ask.id)
            if stands is not None and stands.reason != shown:
                shown = stands.reason
                facts = {"vault": vault, "ceremony": kind, "state": stands.state, "reason": shown}
                say(facts, f"{stands.state}: {shown}", as_json)
            if stands is not None and stands.state == "failed":
                raise ShellError(
                    f"the {kind} of {vault} came to nothing: {stands.reason}", "repeat it; nothing has changed"
                )
            if stands is not None and stands.state == "done" and kind == "repair":
                return
            if stands is not None and stands.state == "done" and vault == AUDIT:
                check_answered(counter.wait(lambda v: v.audit is not None))
                assert counter.view.audit is not None
                text = f'put this into everybody\'s roster, under [audit]: key = "{counter.view.audit.key}"'
                say({"vault": vault, "key": counter.view.audit.key}, text, as_json)
                return
            if stands is not None and stands.state == "done" and counter.wait(lambda v: vault in v.vaults, 5):
                address = counter.view.vaults[vault].address
                say({"vault": vault, "address": address}, f"{vault} receives at {address}", as_json)
                return
        raise ServerError(
            f"the {kind} of {vault} has not ended in {_CEREMONY_S:.0f} s", "m1cep custody vaults shows the outcome"
        )
