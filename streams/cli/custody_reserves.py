"""``m1cep custody attest|sign-statement``: keys of vaults sign for a statement of what is owed, the signers' own key signs it."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.custody_common import (
    ROSTER,
    As,
    AsJson,
    Key,
    RosterFile,
    check_answered,
    counter_for,
    new_id,
    say,
    who,
)
from streams.cli.proofs import Published, read_holdings, write_holdings
from streams.errors import ShellError, UsageError

if TYPE_CHECKING:
    from streams.custody.asks import Stands, VaultStands
    from streams.custody.counter import Counter
    from streams.custody.mail import Pen
    from streams.custody.reserving import ReserveAsk

_SIGNED_S = 120.0  # for all attempts of one vault's signers, with some of them away


def attest(
    holdings: Annotated[
        Path,
        typer.Argument(help="As for `m1cep ledger reserves`; signatures of addresses that are vaults' are filled in."),
    ],
    folder: Published,
    name: As,
    key: Key,
    custody: RosterFile = ROSTER,
    as_json: AsJson = False,
) -> None:
    """Have the keys of vaults sign that they stand for a statement, each by its signers; then run `m1cep ledger reserves`.

    The signers sign for one statement of a moment, for people of the group that changes the policy.

    Example: m1cep custody attest holdings.csv --from 2026-11-23 --as bob --key bob.key
    """
    from m1cep.ledger.liabilities.verify_balance import statement_digest
    from streams.custody.reserving import ReserveAsk
    from streams.ledger.statements import read_statement

    statement = read_statement(folder)["statement"]
    digest = statement_digest(statement).hex()
    rows = read_holdings(holdings)
    roster, pen = who(custody, name, key)
    with counter_for(roster) as counter:
        by_place = {(one.chain, one.address): one for one in counter.view.vaults.values()}
        asked = []
        for row in rows:
            stands = by_place.get((row["chain"], row["address"]))
            if stands is not None and not row["signature"]:
                ask = ReserveAsk(new_id(), stands.vault, row["asset"], digest, statement["epoch_ms"])
                asked.append((row, ask, stands))
        if not asked:
            known = ", ".join(sorted(address for _, address in by_place)) or "none"
            raise UsageError(f"{holdings} has no address of a vault without a signature; vaults' are {known}")
        for row, ask, stands in asked:
            row.update(_signed(counter, pen, ask, stands))
            write_holdings(holdings, rows)  # what was signed is kept, whatever comes of the next
            say({"vault": ask.vault, "address": row["address"]}, f"{ask.vault} has signed at {row['address']}", as_json)


def sign_statement(
    folder: Published,
    name: As,
    key: Key,
    custody: RosterFile = ROSTER,
    as_json: AsJson = False,
) -> None:
    """Have the signers' own key, that of the audit log, sign a statement made with `m1cep ledger prove --unsigned`.

    Every signer gets the statement and signs one of a moment, for people of the group that changes the policy.

    Example: m1cep custody sign-statement --from 2026-11-23 --as bob --key bob.key
    """
    from m1cep.ledger.liabilities.verify_balance import statement_digest
    from streams.custody.reserving import STATEMENT, ReserveAsk
    from streams.custody.roster import AUDIT
    from streams.ledger.statements import attach, read_statement

    statement = read_statement(folder)["statement"]
    roster, pen = who(custody, name, key)
    if roster.audit is None:
        raise UsageError(f"{custody} has no [audit]: the signers have no key of their own", "see docs/custody-audit.md")
    digest = statement_digest(statement).hex()
    ask = ReserveAsk(new_id(), AUDIT, STATEMENT, digest, statement["epoch_ms"], statement)
    with counter_for(roster) as counter:
        made = _answer(counter, pen, ask, "the signers do not sign this statement")
    if roster.audit.key and made.key != roster.audit.key:
        raise ShellError(f"it is signed by {made.key}, expected the key of {custody}: {roster.audit.key}")
    document = attach(folder, made.scheme, made.key, made.signature)
    say(document, f"the statement in {folder} is signed by the signers' group, key {made.key}", as_json)


def _signed(counter: Counter, pen: Pen, ask: ReserveAsk, stands: VaultStands) -> dict[str, str]:
    """Scheme, key and signature, verified as anybody will."""
    from m1cep.ledger.liabilities.verify_balance import Untrue, challenge_digest, check_signature

    made = _answer(counter, pen, ask, f"vault {ask.vault} does not stand for this statement")
    challenge = challenge_digest(bytes.fromhex(ask.statement), ask.epoch_ms, stands.chain, ask.asset, stands.address)
    try:
        check_signature(made.scheme, bytes.fromhex(made.key), challenge, bytes.fromhex(made.signature), "the challenge")
    except Untrue as reason:
        raise ShellError(f"vault {ask.vault}: {reason}") from reason
    return {"scheme": made.scheme, "public_key": made.key, "signature": made.signature}


def _answer(counter: Counter, pen: Pen, ask: ReserveAsk, otherwise: str) -> Stands:
    from streams.custody.mail import REQUESTS
    from streams.custody.reserving import ABOUT, encode_ask

    counter.send(pen.write(REQUESTS, ask.vault, ABOUT, encode_ask(ask)))
    check_answered(counter.wait(lambda view: ask.id in view.reserves or ask.id in view.answers, _SIGNED_S))
    if (refused := counter.view.answers.get(ask.id)) is not None:
        raise ShellError(f"{otherwise}: {refused.reason}")
    return counter.view.reserves[ask.id]
