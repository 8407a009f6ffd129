"""How a request ends, and what then becomes of the lock on the other side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.custody.requests.messages import Refused, ReturnLock, SettleLock, State, Word
from m1cep.custody.requests.state import LockState

if TYPE_CHECKING:
    from m1cep.custody.requests.messages import Void
    from m1cep.custody.requests.state import Case, Desk


def reasons(case: Case, signers: tuple[int, ...] = ()) -> str:
    """Who stands in the way and why, each reason once; of the signers given also who has said nothing."""
    found = {signer: f"excluded: {how}" for signer, how in case.excluded.items()}
    for signer, vote in case.votes.items():
        if vote.word is not Word.ACCEPT:
            found.setdefault(signer, f"{vote.word.value} ({vote.rule}): {vote.reason}")
    for signer, times in case.late.items():
        found.setdefault(signer, f"late or unable {times} times")
    for signer in signers if case.votes else ():
        if signer not in case.votes:
            found.setdefault(signer, "gave no answer")
    who: dict[str, list[str]] = {}
    for signer, why in sorted(found.items()):
        who.setdefault(why, []).append(str(signer))
    said = [f"signer{'s' if len(signers) > 1 else ''} {', '.join(signers)} {why}" for why, signers in who.items()]
    return "; ".join(said) or "no signer has answered"


def end(desk: Desk, case: Case, state: State, reason: str) -> None:
    """The request has ended; unresolved when a signature may exist that has not been seen on the chain."""
    case.round = None
    case.unresolved = case.exposed and state is not State.CONFIRMED
    desk.enter(case, state, reason)
    _release_lock(desk, case)


def confirmed(desk: Desk, case: Case, txid: str) -> None:
    """It is on the chain, whatever we thought of it."""
    if case.state is State.CONFIRMED:
        return
    if not case.exposed:  # no share was asked for, or the chain has said that it can never be: somebody has to look
        desk.said.append(Refused(case.request.id, f"transaction {txid} is confirmed, and cannot be ours: look into it"))
        return
    case.txid = txid
    end(desk, case, State.CONFIRMED, f"transaction {txid} is confirmed")


def void(desk: Desk, case: Case, event: Void) -> None:
    """It will never be on the chain: what waited for that goes back."""
    if not case.exposed or (case.state.ended and not case.unresolved):
        return
    case.exposed = False
    state = case.state if case.state.ended else State.REJECTED
    end(desk, case, state, f"{case.reason}; never on the chain: {event.reason}" if case.state.ended else event.reason)


def _release_lock(desk: Desk, case: Case) -> None:
    if case.lock is LockState.NONE or case.unresolved:
        return
    case.lock = LockState.SETTLING if case.state is State.CONFIRMED else LockState.RETURNING
    say_lock(desk, case)


def say_lock(desk: Desk, case: Case) -> None:
    """What is to become of the lock, until the answer is here."""
    if case.lock is LockState.RETURNING:
        desk.said.append(ReturnLock(case.request))
    elif case.lock is LockState.SETTLING:
        desk.said.append(SettleLock(case.request))


def lock_placed(desk: Desk, case: Case) -> bool:
    """The lock stands; whether that is news. One that comes after the end goes back."""
    if case.lock is LockState.ASKED:
        case.lock = LockState.STANDS
        return not case.state.ended
    if case.lock is LockState.RETURNED:
        _release_lock(desk, case)
    return False


def lock_done(case: Case) -> None:
    """The answer."""
    if case.lock is LockState.RETURNING:
        case.lock = LockState.RETURNED
    elif case.lock is LockState.SETTLING:
        case.lock = LockState.SETTLED
