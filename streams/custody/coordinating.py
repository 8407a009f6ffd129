"""The coordinator as a machine over topics: letters in, letters out; between them requests, chains and the audit log.

    letters ──▶ opened, checked ──▶ Coordinator ──┬──▶ letters to signers (rounds) and to everybody (releases)
                                        ▲          └──▶ ChainDesk ──▶ chains, locks
                                        └──────────── what they answer ◀──┘

All that is heard and every change of a request goes into the audit log, which is on the disk before anything is sent: the runner
takes the snapshot first, and taking it flushes the log.

Longer than other modules, so that all that one event can set off is in one place.
"""

from __future__ import annotations

import json
import secrets
from collections import deque
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from m1cep.custody.frost.keys import PublicKeys
from m1cep.custody.policy.events import Spending
from m1cep.custody.request import Kind, Request
from m1cep.custody.requests import Coordinator, Quorum, Timing, encode
from m1cep.custody.requests.messages import (
    Approved,
    AskCommitment,
    AskShare,
    Broadcast,
    Confirmed,
    LockDone,
    LockPlaced,
    Planned,
    Propose,
    Refused,
    Seen,
    State,
    Status,
    Submit,
    Tick,
    Void,
    Vote,
    Word,
)
from m1cep.errors import CustodyError, EngineError
from streams import codec
from streams.custody import asks, policies, reserving, rites
from streams.custody.alarms import Alarms
from streams.custody.askdesk import AskDesk
from streams.custody.auditing import AuditDesk
from streams.custody.board import Board
from streams.custody.bookings import Bookings
from streams.custody.counting import CHANGES, count
from streams.custody.hearing import word_of_person, word_of_signer
from streams.custody.mail import RELEASES, REQUESTS, ROUNDS, open_letter
from streams.custody.owners import OwnerKeys, owner_keys
from streams.custody.policies import PolicyDesk
from streams.custody.reservedesk import ReserveDesk
from streams.custody.roster import AUDIT, COORDINATOR
from streams.custody.secrets import verify_person
from streams.custody.shares import GroupCrypto
from streams.custody.transfers import Undone
from streams.custody.watches import Watches
from streams.custody.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from m1cep.custody.frost.suite import Random
    from m1cep.custody.policy import Policy
    from m1cep.custody.requests.messages import Heard, Message
    from m1cep.custody.requests.state import Case
    from streams.agents.outbox import Packet
    from streams.custody.chaindesk import ChainDesk, Told
    from streams.custody.journal import Journal
    from streams.custody.mail import Letter, Pen
    from streams.custody.roster import Roster
    from streams.transport import Record

_log = structlog.get_logger(__name__)

VERSION = 2
TOPICS = (REQUESTS, ROUNDS)
_SOURCE = "/m1cep/custody/coordinator"
_CLOCK_MS = 50  # how fine the requests' time goes on while records come

_BY_CHAINS = (Planned, Seen, Confirmed, Void, LockPlaced, LockDone)


class _State(msgspec.Struct):
    """All that survives a restart; no secret is in it.

    Attributes:
        requests, chains, ceremonies: of those machines.
        publics: public keys, by vault.
        answered: what people asked for lately.
        audit, policies, alarms, bookings, reserves: of those desks.
    """

    requests: dict[str, Any]
    chains: Any
    publics: dict[str, bytes]
    ceremonies: bytes
    answered: list[asks.Answered]
    audit: Any
    policies: Any
    alarms: Any
    bookings: Any = ()
    reserves: Any = None


class CoordinatorMachine:
    """See :class:`streams.agents.solo.Machine`.

    Args:
        roster: who is who.
        policy: for the people's keys; decisions are the signers'.
        pen: the coordinator's.
        chains_pen: of the source of facts in whose name balances and locks are told.
        desk: the chains.
        journal: the audit log.
        now_ms: the clock.
        random: gives ceremonies their names.
        timing: of the requests.
        publics: keys by vault that are there already.
    """

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        roster: Roster,
        policy: Policy,
        pen: Pen,
        chains_pen: Pen,
        desk: ChainDesk,
        journal: Journal,
        *,
        now_ms: Callable[[], int],
        random: Random = secrets.token_bytes,
        timing: Timing | None = None,
        publics: Mapping[str, PublicKeys] | None = None,
    ) -> None:
        _check_pens(roster, pen, chains_pen)
        self._roster, self._desk = roster, desk
        self._use_policy(policy)
        self._audit = AuditDesk(journal, pen, by_group=roster.audit is not None)
        self._pen, self._chains_pen, self._now_ms = pen, chains_pen, now_ms
        self._policies = PolicyDesk(policy, pen, verify_person, self._use_policy)
        self._publics: dict[str, PublicKeys | OwnerKeys] = {}
        self._safes_open = False
        self._watches = Watches(roster, pen, random)
        self._group = GroupCrypto(roster.vaults, {})
        self._timing = timing or Timing()
        self._coordinator = Coordinator({}, self._group, self._timing)
        self._board = Board(pen, self._case)
        self._window = Window(roster, pen, desk, self._board)
        self._ticked_ms = 0
        self._alarms = Alarms()
        self._bookings = Bookings(roster.vaults, chains_pen)
        self._said: list[codec.Message | Packet] = []
        self._asks = AskDesk(roster, desk, self._watches, self._note)
        self._reserves = ReserveDesk(roster.vaults, pen, self._note)
        desk.note = self._desk_notes
        for vault, public in (publics or {}).items():
            self.set_public(vault, public)

    # -- what comes in

    def take(self, topic: str, partition: int, record: Record) -> Sequence[codec.Message | Packet]:
        """A record of people (requests) or of signers (rounds)."""
        self._open_safes()
        self._pass_time(self._now_ms())
        try:
            if topic == REQUESTS:
                self._person(open_letter(record.value, self._askers), record.value or b"")
            else:
                self._party(open_letter(record.value, self._roster.keys))
        except CustodyError as error:
            _log.warning("letter.refused", topic=topic, partition=partition, offset=record.offset, reason=str(error))
            source = codec.Source(topic, partition, record.offset, record.timestamp, record.key, record.value)
            self._said.append(codec.dead_letter(source, str(error), _SOURCE))
        return self._taken()

    def tick(self, now_ms: int) -> Sequence[codec.Message | Packet]:
        """Time for requests and chains; the newest head of the audit log where something has ended."""
        self._open_safes()
        self._pass_time(now_ms, at_once=True)
        self._look_at_ceremonies(now_ms)
        self._hear_all(self._settle(self._desk.tick(now_ms)))
        self._bookings.forget(self._desk.may_be_undone)
        self._said += self._window.vaults(self._publics)
        self._said += self._reserves.tick(self._publics, now_ms)
        self._said += self._window.also("head", "head", self._audit.tick(now_ms))
        self._said += self._board.write(now_ms)
        return self._taken()

    def _taken(self) -> list[codec.Message | Packet]:
        said, self._said = self._said, []
        return said

    def _pass_time(self, now_ms: int, *, at_once: bool = False) -> None:
        if at_once or now_ms - self._ticked_ms >= _CLOCK_MS:
            self._ticked_ms = now_ms
            self._hear_all([Tick(now_ms)])

    def _person(self, letter: Letter, sealed: bytes) -> None:
        if letter.about == "desk":
            vault, answer = self._asks.hear(letter, self._policy, self._publics, self._now_ms())
            self._release(vault, "desk", asks.encode(answer))
            return
        if letter.about == policies.ABOUT:
            self._note("heard", {"from": letter.sender, "message": msgspec.to_builtins(policies.decode(letter.body))})
            self._said += self._window.also("policy", policies.ABOUT, self._policies.hear_person(letter))
            self._note("policy", {"hash": self._policy.hash, "version": self._policy.version})
            return
        if letter.about == reserving.ABOUT:
            self._said += self._reserves.ask(letter.sender, sealed.decode(), self._policy, self._publics)
            return
        message = word_of_person(letter)
        self._note("heard", {"from": letter.sender, "message": _plain(message)})
        if isinstance(message, Submit) and (refusal := self._refusal(message)):
            self._say(refusal)
        else:
            self._hear_all([message])

    def _use_policy(self, policy: Policy) -> None:
        self._policy = policy
        people = {name: bytes.fromhex(key) for name, key in policy.people.items()}
        self._askers = people | self._roster.requesters

    def _refusal(self, event: Submit) -> Refused | None:
        """Why a request cannot be meant. One that is known is the requests' machine's to answer."""
        request = event.request
        if self._coordinator.case(request.id) is not None:
            return None
        try:
            asks.check_release(self._roster.vaults, request)
            self._group.public(request.vault)
            if request.kind is Kind.PAYOUT:
                self._desk.check_payout(request)
        except CustodyError as error:
            return Refused(request.id, str(error)[:1_000])
        return None

    def _party(self, letter: Letter) -> None:
        if letter.sender == COORDINATOR or letter.sender in self._roster.facts:
            return  # what we said ourselves, and what is for the signers
        if letter.about == "ceremony":
            self._watches.hear(letter)
            words = {"from": letter.sender, "digest": sha256(letter.body.encode()).hexdigest()}
            self._note("ceremony", words)
            return
        if letter.about == policies.ABOUT:
            self._note("heard", {"from": letter.sender, "message": msgspec.to_builtins(policies.decode(letter.body))})
            self._said += self._window.also("policy", policies.ABOUT, self._policies.hear_signer(letter))
            return
        if letter.about == "head":
            self._audit.hear(letter, self._now_ms())
            return
        if letter.about == reserving.ABOUT:
            self._reserves.hear(letter, self._now_ms())
            return
        message = word_of_signer(letter)
        if isinstance(message, Vote) and message.word is Word.REJECT:
            self._pass_time(self._now_ms(), at_once=True)  # what is over has expired, whoever says so first
        self._note("heard", {"from": letter.sender, "message": _plain(message)})
        self._hear_all([message])

    # -- keys

    def _look_at_ceremonies(self, now_ms: int) -> None:
        found = self._watches.look(now_ms)
        self._said += found.messages
        for one in found.stands:
            self._note("ceremony", msgspec.to_builtins(one))
            self._release(one.vault, "desk", asks.encode(one))
        for vault, public in found.keys:
            self.set_public(vault, public)

    def set_public(self, vault: str, public: PublicKeys | OwnerKeys) -> None:
        """A ceremony has ended: the vault has a key, or its key another epoch."""
        self._use(vault, public)
        if vault != AUDIT:
            self._coordinator.set_quorum(vault, _quorum(public))
        self._note("key", {"vault": vault, "epoch": public.epoch, "public": public.encode().hex()})

    def _open_safes(self) -> None:
        """Vaults whose keys are in the roster."""
        if not self._safes_open:
            self._safes_open = True
            for name, vault in self._roster.vaults.items():
                if vault.owners:
                    self.set_public(name, owner_keys(vault))

    def _use(self, vault: str, public: PublicKeys | OwnerKeys) -> None:
        self._publics[vault] = public
        if vault == AUDIT and isinstance(public, PublicKeys):
            self._audit.set_public(public)
            return
        self._group.set_public(vault, public)
        self._desk.open(vault, public.group)

    # -- the machine of the requests, and what it says

    def _hear_all(self, events: Iterable[Heard]) -> None:
        """Events, and those that come of them, until there are none."""
        waiting = deque(events)
        while waiting:
            event = waiting.popleft()
            if not isinstance(event, Tick):
                self._board.touch(event.approval.request_id if isinstance(event, Approved) else _about(event))
            for said in self._coordinator.handle(event):
                if isinstance(said, Propose | AskCommitment | AskShare | Status | Refused):
                    self._say(said)
                else:
                    if isinstance(said, Broadcast):
                        self._audit.flush()  # what is on a chain cannot be taken back: who wanted it must be on the disk
                    waiting.extend(self._settle(self._desk.carry_out(said)))

    def _settle(self, told: Iterable[Told]) -> list[Heard]:
        """What the desk tells: facts go to the signers, the rest to the requests' machine."""
        heard: list[Heard] = []
        for one in told:
            if isinstance(one, Undone):
                alert = self._alarms.undone(
                    one, self._roster.vaults[one.vault], self._desk.short(one.vault), self._now_ms()
                )
                self._note("undone", {**one._asdict(), "units": str(one.units)})
                self._said.append(alert)
                if one.what == "deposit":
                    now_ms = self._now_ms()
                    self._said += self._bookings.deposit(one.vault, one.reference, one.units, now_ms, undone=True)
            elif isinstance(one, Request):
                self._note("payout", msgspec.to_builtins(one))
                heard.append(Submit(one))
            elif isinstance(one, _BY_CHAINS):
                self._note("chain", _plain(one))
                heard.append(one)
            else:
                body = msgspec.json.encode(one, order="sorted").decode()
                self._note("fact", json.loads(body))
                if isinstance(one, Spending):
                    self._said += self._bookings.spending(one, self._desk.fee(one.request_id))
                key = str(getattr(one, "vault", "") or getattr(one, "request_id", ""))
                self._said.append(self._chains_pen.write(ROUNDS, key, "fact", body))
        return heard

    def _say(self, said: Propose | AskCommitment | AskShare | Status | Refused) -> None:
        count("coordinator", said)
        body = encode(said).decode()
        name = said.request.id if isinstance(said, Propose) else said.request_id
        if isinstance(said, Status | Refused):
            self._note("state" if isinstance(said, Status) else "refused", _plain(said))
            self._release(name, "request", body)
        if isinstance(said, Status):
            CHANGES.labels(said.state.value).inc()
            self._board.touch(name)
            self._desk.hear(said)
            if said.state.ended:
                self._audit.ended()
                self._free(said)
        if isinstance(said, Propose):
            self._said += self._bookings.reserve(said.request)
        if isinstance(said, Propose | AskCommitment | AskShare):
            self._said.append(self._pen.write(ROUNDS, name, "request", body))

    def _free(self, status: Status) -> None:
        """Tell the books; of one that is unresolved the chains' side will say what came of it."""
        case = self._coordinator.case(status.request_id)
        if case is not None and status.state is not State.CONFIRMED and not status.unresolved:
            self._said += self._bookings.free(case.request, status.time_ms)

    def _desk_notes(self, kind: str, body: dict[str, Any]) -> None:
        self._note(kind, body)
        if kind == "deposit":
            self._said += self._bookings.deposit(body["vault"], body["reference"], int(body["amount"]), self._now_ms())

    def _release(self, key: str, about: str, body: str) -> None:
        self._said.append(self._pen.write(RELEASES, key, about, body))

    def _note(self, kind: str, body: dict[str, Any]) -> None:
        self._audit.note(kind, body, self._now_ms())

    def _case(self, request_id: str) -> Case | None:
        return self._coordinator.case(request_id)

    # -- to keep

    def snapshot(self) -> bytes:
        """All that must survive. The audit log is on the disk when this returns."""
        state = _State(
            self._coordinator.snapshot(),
            self._desk.snapshot(),
            {vault: one.encode() for vault, one in self._publics.items() if isinstance(one, PublicKeys)},
            self._watches.snapshot(),
            self._asks.snapshot(),
            self._audit.snapshot(),
            self._policies.snapshot(),
            self._alarms.snapshot(),
            self._bookings.snapshot(),
            self._reserves.snapshot(),
        )
        return msgspec.msgpack.encode([VERSION, state])

    def load(self, state: bytes) -> Sequence[codec.Message | Packet]:
        """Go on; what was decided last is said again.

        Raises:
            EngineError: it is no state of a coordinator, does not fit the roster, or the audit log is shorter than it was.
        """
        try:
            self._restore(state)
        except (ValueError, TypeError, msgspec.MsgspecError, CustodyError) as error:
            raise EngineError(f"no state that this coordinator can go on with: {error}") from None
        for status in self._coordinator.statuses():
            self._say(status)
        self._said += [*self._policies.again(), *self._alarms.again()]
        return self._taken()

    def _restore(self, state: bytes) -> None:
        version, kept = msgspec.msgpack.decode(state, type=tuple[int, msgspec.Raw])
        if version != VERSION:
            raise CustodyError(f"expected a state of version {VERSION}, got version {version!r}")
        found = msgspec.msgpack.decode(kept, type=_State)
        self._audit.load(found.audit)
        self._policies.load(found.policies)
        self._alarms.load(found.alarms)
        self._asks.load(found.answered)
        self._bookings.load(list(found.bookings))
        self._reserves.load(found.reserves)
        self._watches.load(found.ceremonies)
        self._desk.load(found.chains)
        for vault, data in found.publics.items():
            self._use(vault, PublicKeys.decode(rites.suite_for(self._roster, vault), data))
        for vault, known in self._roster.vaults.items():
            if known.owners:
                self._use(vault, owner_keys(known))
        self._safes_open = True
        quorums = {vault: _quorum(public) for vault, public in self._publics.items() if vault != AUDIT}
        self._coordinator = Coordinator.restore(found.requests, quorums, self._group, self._timing)


def _about(event: Any) -> str:
    return str(event.request.id if isinstance(event, Submit) else event.request_id)


def _quorum(public: PublicKeys | OwnerKeys) -> Quorum:
    return Quorum(tuple(public.shares), public.threshold, public.epoch)


def _plain(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode(message))
    return found


def _check_pens(roster: Roster, pen: Pen, chains_pen: Pen) -> None:
    for one, table in ((pen, "coordinator"), (chains_pen, "facts")):
        if roster.keys.get(one.sender) != one.verify_key:
            raise CustodyError(f"the key at hand for {one.sender} is not the one that the roster has under [{table}]")
    if chains_pen.sender not in roster.facts:
        raise CustodyError(
            f"{chains_pen.sender} is none of the roster's [facts], so signers would not believe balances"
        )
