"""The whole: what is heard in, messages out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.custody.request import check_request, shown_time
from m1cep.custody.requests import ends, rounds
from m1cep.custody.requests.messages import (
    Approved,
    Broadcast,
    Cancel,
    Commitment,
    Confirmed,
    LockDone,
    LockPlaced,
    PlaceLock,
    Planned,
    Propose,
    Refused,
    Seen,
    Share,
    State,
    Submit,
    Tick,
    Unable,
    Void,
    Vote,
    Word,
)
from m1cep.custody.requests.state import Book, Case, Desk, LockState, Timing
from m1cep.errors import CustodyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.requests.messages import Heard, Said, Status
    from m1cep.custody.requests.state import Group, Quorum

VERSION = 1
MAX_APPROVALS = 50  # words of people kept for one request
DEFAULT_TIMING = Timing()


class Coordinator:
    """Brings requests from being asked for to an end with a reason. It holds no key and is not believed by signers.

        coordinator = Coordinator({"v1": Quorum((1, 2, 3, 4, 5), 3)}, group)
        messages = coordinator.handle(Tick(now_ms)) + coordinator.handle(Submit(request))

    The same events give the same messages on every run. Keep the snapshot before sending what an event gave; after a crash
    restore it, send its :meth:`statuses` and handle the events since then. Everything it says may be said twice.

    Args:
        quorums: by vault.
        group: the group's cryptography, without secrets.
    """

    def __init__(self, quorums: Mapping[str, Quorum], group: Group, timing: Timing = DEFAULT_TIMING) -> None:
        self._quorums, self._group, self._timing = dict(quorums), group, timing
        self._book = Book()

    def handle(self, event: Heard) -> list[Said]:
        """Take an event in; what is to be said now, in order. What only the time makes due comes with a Tick."""
        book = self._book
        if isinstance(event, Tick):
            if event.time_ms <= book.now_ms:
                return []
            book.now_ms = event.time_ms
        desk = Desk(self._quorums, self._group, self._timing, book.now_ms, [])
        if isinstance(event, Tick):
            for case in list(book.cases.values()):
                self._pass_time(desk, case)
        elif isinstance(event, Submit):
            self._submit(desk, event)
        else:
            request_id = event.approval.request_id if isinstance(event, Approved) else event.request_id
            found = book.cases.get(request_id)
            if found is not None:
                _apply(desk, found, event)
            elif isinstance(event, Cancel | Approved):
                desk.said.append(Refused(request_id, "there is no such request"))
        return desk.said

    def set_quorum(self, vault: str, quorum: Quorum) -> None:
        """Go on with another epoch of a vault's key, or other signers; attempts under way begin again with the next Tick."""
        self._quorums[vault] = quorum

    def _submit(self, desk: Desk, event: Submit) -> None:
        request, digest = event.request, event.request.digest()
        known = self._book.cases.get(request.id)
        if known is not None:
            same = known.digest == digest
            desk.said.append(
                known.status(desk.now_ms) if same else Refused(request.id, "the id was used with other contents")
            )
            return
        try:
            check_request(request)
        except CustodyError as error:
            desk.said.append(Refused(request.id, str(error)))
            return
        if request.vault not in self._quorums:
            desk.said.append(Refused(request.id, f"there is no vault {request.vault}"))
            return
        case = self._book.cases[request.id] = Case(request, digest, desk.now_ms)
        if desk.now_ms >= request.expires_ms:
            ends.end(desk, case, State.EXPIRED, f"it came after it had expired at {shown_time(request.expires_ms)}")
            return
        desk.enter(case, State.REQUESTED, "asked for")
        if request.lock is not None:
            case.lock = LockState.ASKED
            _say_again(desk, case)
        else:
            _propose(desk, case)

    def _pass_time(self, desk: Desk, case: Case) -> None:
        timing = desk.timing
        if case.state in {State.REQUESTED, State.APPROVING, State.SIGNING}:
            if desk.now_ms >= case.request.expires_ms:
                ends.end(
                    desk,
                    case,
                    State.EXPIRED,
                    f"not signed by {shown_time(case.request.expires_ms)}: {_missing(desk, case)}",
                )
            else:
                rounds.overdue(desk, case)
        elif not case.state.ended and desk.now_ms - case.since_ms >= timing.confirm_ms:
            ends.end(desk, case, State.EXPIRED, f"signed, and not confirmed within {timing.confirm_ms} ms")
        done = case.state.ended and not case.unresolved and case.lock.over
        if done and desk.now_ms >= case.request.expires_ms + timing.keep_ms:
            del self._book.cases[case.request.id]  # if it comes again, it has expired
        elif not done and desk.now_ms - case.sent_ms >= min(
            timing.resend_ms << min(case.resends, 30), timing.resend_most_ms
        ):
            case.sent_ms, case.resends = desk.now_ms, case.resends + 1
            _say_again(desk, case)

    # -- to look at

    def statuses(self) -> list[Status]:
        """Where every request stands: to be sent after a restart, for the last changes may have been kept and not said."""
        return [case.status(self._book.now_ms) for case in self._book.cases.values()]

    def case(self, request_id: str) -> Case | None:
        """A request; to look at, not to change."""
        return self._book.cases.get(request_id)

    @property
    def open(self) -> list[Case]:
        """Requests that have not ended, or are unresolved."""
        return [case for case in self._book.cases.values() if not case.state.ended or case.unresolved]

    # -- to keep

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain values, fit for JSON or msgpack."""
        return {"version": VERSION, "state": msgspec.to_builtins(self._book, str_keys=True)}

    @classmethod
    def restore(
        cls, kept: dict[str, Any], quorums: Mapping[str, Quorum], group: Group, timing: Timing = DEFAULT_TIMING
    ) -> Coordinator:
        """As it was.

        Raises:
            CustodyError: this is no snapshot of a coordinator, or one of another version, or one of its vaults is unknown.
        """
        if kept.get("version") != VERSION:
            raise CustodyError(
                f"expected a coordinator's snapshot of version {VERSION}, got version {kept.get('version')!r}"
            )
        coordinator = cls(quorums, group, timing)
        try:
            coordinator._book = msgspec.convert(kept["state"], Book, str_keys=True)
        except (KeyError, msgspec.ValidationError) as error:
            raise CustodyError(f"expected a coordinator's snapshot: {error}") from None
        vaults = {case.request.vault for case in coordinator._book.cases.values()}
        if unknown := vaults - set(quorums):
            raise CustodyError(f"the snapshot has requests of vaults that are not there: {', '.join(sorted(unknown))}")
        return coordinator


def _apply(desk: Desk, case: Case, event: Heard) -> None:
    match event:
        case Approved():
            _approved(desk, case, event)
        case Cancel():
            _cancel(desk, case, event)
        case Vote():
            _vote(desk, case, event)
        case Planned() | Commitment() | Share() | Unable():
            rounds.hear(desk, case, event)
        case Seen():
            if case.state is State.SIGNED:
                case.txid = event.txid
                desk.enter(case, State.BROADCAST, f"transaction {event.txid}")
        case Confirmed():
            ends.confirmed(desk, case, event.txid)
        case Void():
            ends.void(desk, case, event)
        case LockPlaced():
            if ends.lock_placed(desk, case):
                _propose(desk, case)
        case LockDone():
            ends.lock_done(case)
        case _:
            raise AssertionError(event)


def _propose(desk: Desk, case: Case) -> None:
    desk.enter(case, State.APPROVING, "signers are asked")
    _say_again(desk, case)


def _say_again(desk: Desk, case: Case) -> None:
    """What waits for an answer."""
    match case.state:
        case State.REQUESTED:
            desk.said.append(PlaceLock(case.request))
        case State.SIGNING if case.plan is None or case.round is not None:
            rounds.ask(desk, case)
        case State.APPROVING | State.SIGNING:
            desk.said.append(Propose(case.request, desk.quorum(case).epoch, tuple(case.approvals)))
        case State.SIGNED | State.BROADCAST:
            desk.said.append(Broadcast(case.request, case.plan or b"", case.signature))
        case _:
            ends.say_lock(desk, case)


def _approved(desk: Desk, case: Case, event: Approved) -> None:
    word = event.approval
    if case.state not in {State.REQUESTED, State.APPROVING, State.SIGNING}:
        desk.said.append(Refused(word.request_id, f"the request is {case.state.value}"))
    elif word.request_digest != case.digest:
        desk.said.append(Refused(word.request_id, "the approval is for other contents"))
    elif word not in case.approvals and len(case.approvals) < MAX_APPROVALS:
        case.approvals.append(word)
        if case.state is not State.REQUESTED:
            desk.said.append(Propose(case.request, desk.quorum(case).epoch, tuple(case.approvals)))


def _cancel(desk: Desk, case: Case, event: Cancel) -> None:
    if case.state is State.CANCELLED:
        return
    if event.by != case.request.requester:
        desk.said.append(Refused(event.request_id, f"only {case.request.requester}, who asked for it, can cancel it"))
    elif case.state.ended or case.exposed:
        why = case.state.value if case.state.ended else "being signed: a signature may exist already"
        desk.said.append(Refused(event.request_id, f"too late to cancel: the request is {why}"))
    else:
        ends.end(desk, case, State.CANCELLED, f"by {event.by}")


def _vote(desk: Desk, case: Case, event: Vote) -> None:
    if event.digest != case.digest or event.signer not in desk.quorum(case).signers:
        return
    known = case.votes.get(event.signer)
    if known is None or (known.word is not Word.REJECT and (event.word is Word.REJECT or event.number > known.number)):
        case.votes[event.signer] = event
        rounds.advance(desk, case)


def _missing(desk: Desk, case: Case) -> str:
    if case.state is State.REQUESTED:
        return "the other side was not locked"
    if case.state is State.SIGNING and case.plan is None:
        return "there was no plan for the transaction"
    return ends.reasons(case, desk.quorum(case).signers)
