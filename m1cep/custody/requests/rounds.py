"""Signing: who takes part, the two rounds of an attempt, and the next one when something went wrong."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from m1cep.custody.requests.ends import end, reasons
from m1cep.custody.requests.messages import (
    AskCommitment,
    AskShare,
    Broadcast,
    Commitment,
    MakePlan,
    Planned,
    Share,
    State,
    Unable,
    Word,
)
from m1cep.custody.requests.state import Round

if TYPE_CHECKING:
    from m1cep.custody.requests.state import Case, Desk


def advance(desk: Desk, case: Case) -> None:
    """From votes to a signature as far as it goes now."""
    if case.state not in {State.APPROVING, State.SIGNING}:
        return
    quorum = desk.quorum(case)
    able = [s for s in case.voted(Word.ACCEPT) if s in quorum.signers and s not in case.excluded]
    lost = {*case.excluded, *case.voted(Word.REJECT)}
    if len(set(quorum.signers) - lost) < quorum.threshold:
        end(desk, case, State.REJECTED, reasons(case))
        return
    if len(able) < quorum.threshold:
        return
    if case.state is State.APPROVING:
        desk.enter(case, State.SIGNING, f"signers {_list(able)} of {len(quorum.signers)} would sign")
        desk.said.append(MakePlan(case.request))
    if case.plan is not None and case.round is None:
        _begin(desk, case, able)


def _begin(desk: Desk, case: Case, able: list[int]) -> None:
    """The next attempt, with those first who were never late; among equals requests spread the work."""
    if case.attempt >= desk.timing.attempts:
        end(desk, case, State.REJECTED, f"no signature in {case.attempt} attempts; {reasons(case)}")
        return
    quorum = desk.quorum(case)
    turn = {signer: sha256(f"{case.digest} {signer}".encode()).digest() for signer in able}
    first = sorted(able, key=lambda signer: (case.late.get(signer, 0), turn[signer]))
    case.attempt += 1
    case.round = Round(tuple(sorted(first[: quorum.threshold])), quorum.epoch, desk.now_ms)
    if case.attempt == 1:
        _skip_first_round(desk, case, case.round)
    desk.enter(case, State.SIGNING, f"attempt {case.attempt} with signers {_list(case.round.signers)}")
    ask(desk, case)


def _skip_first_round(desk: Desk, case: Case, going: Round) -> None:
    """Where all of them have committed with their votes (RFC 9591, section 5.1, allows it before the message is known)."""
    assert case.plan is not None  # an attempt begins with one
    found = {}
    for signer in going.signers:
        said = case.votes[signer].commitment
        part = desk.group.prepared(case.request, going.epoch, case.plan, signer, said) if said else None
        if part is None:
            return
        found[signer] = part
    going.commitments, going.at_once, case.exposed = found, True, True


def ask(desk: Desk, case: Case) -> None:
    """Say what the present step of signing waits for."""
    going = case.round
    if case.plan is None:
        desk.said.append(MakePlan(case.request))
    elif going is not None and not going.committed:
        ask_all = AskCommitment(case.request.id, case.digest, going.epoch, case.attempt, case.plan, going.signers)
        desk.said.append(ask_all)
    elif going is not None:
        plan = case.plan if going.at_once else None
        said = dict(going.commitments)
        desk.said.append(AskShare(case.request.id, case.digest, going.epoch, case.attempt, said, plan))


def hear(desk: Desk, case: Case, event: Planned | Commitment | Share | Unable) -> None:
    """What chain and signers answer."""
    match event:
        case Planned():
            _planned(desk, case, event)
        case Commitment():
            _commitment(desk, case, event)
        case Share():
            _share(desk, case, event)
        case Unable():
            _unable(desk, case, event)


def _planned(desk: Desk, case: Case, event: Planned) -> None:
    """What the transaction is made of; the first answer stays, so that all attempts are for one transaction."""
    if case.state is State.SIGNING and case.plan is None:
        case.plan = event.plan
        advance(desk, case)


def _commitment(desk: Desk, case: Case, event: Commitment) -> None:
    """A commitment; when all are here, shares are asked for."""
    going = _of_this_attempt(desk, case, event)
    if going is None or case.plan is None or going.at_once:
        return
    known = going.commitments.get(event.signer)
    if known == event.commitment:
        return
    if known is not None:  # nonces are drawn once: two commitments are a lie to somebody
        _exclude(desk, case, event.signer, f"two commitments in attempt {case.attempt}")
        return
    if not desk.group.commitment_is_valid(case.request, going.epoch, case.plan, event.signer, event.commitment):
        _exclude(desk, case, event.signer, f"a commitment in attempt {case.attempt} that cannot be one")
        return
    going.commitments[event.signer] = event.commitment
    if going.committed:
        going.commitments = dict(sorted(going.commitments.items()))
        going.since_ms, case.exposed = desk.now_ms, True
        desk.touch(case)
        ask(desk, case)


def _share(desk: Desk, case: Case, event: Share) -> None:
    """A share; when all are here, they make the signature."""
    going = _of_this_attempt(desk, case, event)
    if going is None or not going.committed or case.plan is None or event.signer in going.shares:
        return
    epoch, request = going.epoch, case.request
    if not desk.group.share_is_valid(request, epoch, case.plan, going.commitments, event.signer, event.share):
        _exclude(desk, case, event.signer, f"a share in attempt {case.attempt} that is not for this transaction")
        return
    going.shares[event.signer] = event.share
    if len(going.shares) == len(going.signers):
        case.signature = desk.group.aggregate(request, epoch, case.plan, going.commitments, going.shares)
        desk.enter(case, State.SIGNED, f"by signers {_list(going.signers)} in attempt {case.attempt}")
        case.round = None
        desk.said.append(Broadcast(request, case.plan, case.signature))


def _unable(desk: Desk, case: Case, event: Unable) -> None:
    """A signer has lost its nonces or does not agree any more: another attempt, with others if there are."""
    if _of_this_attempt(desk, case, event) is not None:
        _again(desk, case, [event.signer])


def overdue(desk: Desk, case: Case) -> None:
    """A round that has taken too long, or whose key is of the past."""
    going = case.round
    if going is not None and going.epoch != desk.quorum(case).epoch:
        _again(desk, case, [])
    elif going is not None and desk.now_ms - going.since_ms >= desk.timing.round_ms:
        _again(desk, case, going.silent)


def _exclude(desk: Desk, case: Case, signer: int, how: str) -> None:
    case.excluded[signer] = how
    _again(desk, case, [])


def _again(desk: Desk, case: Case, late: list[int]) -> None:
    for signer in late:
        case.late[signer] = case.late.get(signer, 0) + 1
    case.round = None
    advance(desk, case)


def _of_this_attempt(desk: Desk, case: Case, event: Commitment | Share | Unable) -> Round | None:
    going = case.round
    if going is None or going.epoch != desk.quorum(case).epoch:
        return None
    return going if event.attempt == case.attempt and event.signer in going.signers else None


def _list(signers: list[int] | tuple[int, ...]) -> str:
    return ", ".join(map(str, sorted(signers)))
