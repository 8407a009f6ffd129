"""``m1cep custody policy``: which policy stands, and another one in its place."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.custody_common import ROSTER, As, AsJson, Key, RosterFile, check_answered, counter_for, who
from streams.errors import ShellError

if TYPE_CHECKING:
    from streams.custody.policies import PolicyStands


def policy(
    new: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Your copy of the policy that you want.")],
    old: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Your copy of the present policy.")],
    name: As,
    key: Key,
    custody: RosterFile = ROSTER,
    as_json: AsJson = False,
) -> None:
    """Sign another policy. When as many have as the present one asks for (two at least), every signer takes it.

    Compare the new file with the others by another way first: sha256sum policy.yaml.

    Example: m1cep custody policy policy-2.yaml --old policy.yaml --as bob --key bob.key
    """
    import msgspec

    from m1cep.custody.policy import parse_policy
    from streams.custody import policies
    from streams.custody.mail import REQUESTS
    from streams.files import read_text

    roster, pen = who(custody, name, key)
    words = policies.signed_change(parse_policy(read_text(old)).hash, read_text(new), pen)
    with counter_for(roster) as counter:
        before = counter.view.policy_words
        counter.send(pen.write(REQUESTS, policies.ABOUT, policies.ABOUT, policies.encode(words)))
        check_answered(counter.wait(lambda view: view.policy_words > before))
        counter.wait(lambda view: _everybody(view.policy, len(roster.signers), words.approval.new), 3)
        stands = counter.view.policy
    assert stands is not None  # somebody has said one
    if stands.refused:
        raise ShellError(f"the policy is not taken: {stands.refused}")
    if as_json:
        typer.echo(msgspec.json.encode(stands))
        return
    typer.echo(f"policy {stands.hash}, version {stands.version}, stands")
    for wanted, people in stands.pending.items():
        typer.echo(f"wanted is {wanted}, signed by {', '.join(people)}: others have to sign it too")
    for signer, held in sorted(stands.signers.items()):
        typer.echo(f"{signer} goes by {'it' if held == stands.hash else held}")


def _everybody(stands: PolicyStands | None, count: int, wanted: str) -> bool:
    """All signers have said that they go by it, or more people are needed first."""
    if stands is None or stands.hash != wanted:
        return stands is not None
    return sum(held == wanted for held in stands.signers.values()) == count
