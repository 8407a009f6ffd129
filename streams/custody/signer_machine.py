"""A signer as ``Solo`` runs it: letters and facts in, letters out.

``m1cep.custody.signer.Signer`` answers about requests, ``Ceremonies`` about keys; here is who is heard on what.

    rounds     coordinator   Propose, AskCommitment, AskShare, the start of a ceremony
               signers       ceremonies
               [facts]       VaultBalance, Spending, AlertClosed, Lifted, LockStands ...
    releases   coordinator   Status
    signer-N   signers       what is dealt to this one
    alerts, actions, accounts: the platform's own records, of whoever may write there
    alert-states: reopened by whoever may write there, closed by people whom the policy names, with their signatures
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from m1cep.custody.heads import Witness
from m1cep.custody.heads import messages as heads
from m1cep.custody.policy import change_policy
from m1cep.custody.policy.events import parse_fact
from m1cep.custody.requests.messages import AskCommitment, AskShare, Propose, Share, Status, Tick, decode, encode
from m1cep.custody.requests.state import Quorum
from m1cep.custody.signer import Signer
from m1cep.errors import CustodyError, EngineError
from streams import codec
from streams.custody import bookings, policies, reserving, rites
from streams.custody.ceremonies import Ceremonies
from streams.custody.counting import count
from streams.custody.derive import chain_of
from streams.custody.journal import NAME as JOURNAL
from streams.custody.mail import LOG, RELEASES, ROUNDS, Pen, open_letter, outside, signer_topic
from streams.custody.owners import owner_address, owner_keys
from streams.custody.platform import ACCOUNTS, PLATFORM, chains_by_asset, facts_of_state, platform_fact
from streams.custody.policies import newest_policy
from streams.custody.reserving import ReserveSigner
from streams.custody.roster import AUDIT, COORDINATOR, signer_name
from streams.custody.secrets import KeyfileSecrets, verify_person
from streams.custody.signer_state import SignerState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from m1cep.custody.frost.keys import KeyShare
    from m1cep.custody.heads.witness import Copy
    from m1cep.custody.policy import Policy
    from m1cep.custody.policy.events import FactEvent
    from streams.agents.stats import AgentStats
    from streams.codec import Message
    from streams.custody.keyfile import Keyfile
    from streams.custody.mail import Letter
    from streams.custody.roster import Roster
    from streams.transport import Record

_log = structlog.get_logger(__name__)

#: Older facts are let go of, once an hour. No window of a policy should be longer.
KEEP_FACTS_MS = 90 * 24 * 3_600_000
_FORGET_EVERY_MS = 3_600_000
_COUNT_EVERY_S, _TIMES_PAUSE = 5.0, 500  # to count looks at every open alert: for a five-hundredth of the time at most


def topics(number: int, *, audit: bool = False) -> tuple[str, ...]:
    """What a signer reads; with the audit log where the roster has a key for its heads."""
    return (
        ROUNDS,
        RELEASES,
        signer_topic(number),
        codec.ALERTS,
        codec.ALERT_STATES,
        codec.ACTIONS,
        ACCOUNTS,
        *([LOG] if audit else []),
    )


class SignerMachine:
    """One signer.

    Args:
        roster: who is who.
        policy: its own copy.
        keyfile: open, of this signer.
        clock_ms: the time.
        stats: is told of open alerts.

    Raises:
        CustodyError: the keyfile is of a signer whom the roster does not have, or has with another key.
    """

    def __init__(
        self,
        roster: Roster,
        policy: Policy,
        keyfile: Keyfile,
        clock_ms: Callable[[], int] | None = None,
        stats: AgentStats | None = None,
    ) -> None:
        self._stats, self._count_again_s = stats, 0.0
        self.number = keyfile.number
        self._roster, self._policy, self._clock_ms = roster, policy, clock_ms or _now_ms
        self._pen = Pen(signer_name(self.number), keyfile.seed)
        if roster.signers.get(self.number) != self._pen.verify_key:
            raise CustodyError(
                f"the roster has no signer {self.number} with the key of {keyfile.path}: {self._pen.verify_key.hex()}"
            )
        self._secrets = KeyfileSecrets(keyfile, roster.vaults)
        self._ceremonies = Ceremonies(roster, keyfile, self._pen)
        self._quorums = {vault: _quorum(held.share.public) for vault, held in keyfile.held.items()}
        self._keyfile, self._remembers, self._forgot_ms = keyfile, False, 0
        self._quorums |= self._owned()
        self.signer = Signer(self.number, self._quorums, policy, self._secrets)
        self._listed_chains = chains_by_asset(roster)
        self._witness = self._new_witness()
        self._reserves = ReserveSigner(
            keyfile, roster.vaults, secrets.token_bytes, lambda: self._secrets.owner_since_ms
        )

    # -- Machine

    def take(self, topic: str, partition: int, record: Record) -> Sequence[Message]:
        """Hear a record. What is refused is said in the log, and nothing else is done with it."""
        self._begin()
        try:
            if topic in PLATFORM:
                return self._fact(platform_fact(topic, record, self._listed_chains))
            if topic == codec.ALERT_STATES:
                facts = facts_of_state(record, self._policy, self._clock_ms())
                return [message for fact in facts for message in self._fact(fact)]
            sender, about = outside(record.value) or ("", "")
            if about in {"request", "head", reserving.ABOUT} and sender != COORDINATOR:
                return []  # what signers say to the coordinator; to open all of it would take as long as to sign
            return self._letter(topic, open_letter(record.value, self._roster.keys))
        except CustodyError as error:
            where = f"{topic}/{partition}/{record.offset}"
            _log.warning("custody.refused", signer=self.number, record=where, reason=str(error)[:300])
            return []

    def tick(self, now_ms: int) -> Sequence[Message]:
        """The time: votes that it changes, what is said again in ceremonies."""
        self._begin()
        if now_ms - self._forgot_ms >= _FORGET_EVERY_MS:
            self._forgot_ms = now_ms
            self.signer.forget(max(0, now_ms - KEEP_FACTS_MS))
        self._count_alerts()
        return [*self._say(self.signer.handle(Tick(now_ms))), *self._ceremonies.tick(now_ms)]

    def _count_alerts(self) -> None:
        begun_s = time.monotonic()
        if self._stats is not None and begun_s >= self._count_again_s:
            self._stats.signer = self.number
            self._stats.open_alerts, self._stats.oldest_alert_ms = self.signer.facts.count_open_alerts()
            done_s = time.monotonic()
            self._count_again_s = done_s + max(_COUNT_EVERY_S, _TIMES_PAUSE * (done_s - begun_s))

    def snapshot(self) -> bytes:
        """All but what is in the keyfile, and nonces."""
        quorums = {vault: (one.signers, one.threshold, one.epoch) for vault, one in self._quorums.items()}
        return msgspec.msgpack.encode(
            SignerState(
                1,
                self.signer.snapshot(),
                self._ceremonies.snapshot(),
                quorums,
                self._witness.snapshot(),
                self._policy.text,
                self._secrets.owner_since_ms,
                self._reserves.newest,
            )
        )

    def load(self, state: bytes) -> Sequence[Message]:
        """As it was; attempts under way are given up, and so are ceremonies before the confirmation."""
        try:
            kept = msgspec.msgpack.decode(state, type=SignerState)
            said = self._ceremonies.restore(kept.ceremonies, self._clock_ms())
            # A vault that this signer has left is in the state only; of others the keyfile knows best.
            self._quorums = {vault: Quorum(*one) for vault, one in kept.quorums.items()} | self._quorums
            self._policy = newest_policy(self._policy, kept.policy)
            self._secrets.owner_since_ms = kept.owner_since_ms
            self.signer = Signer.restore(kept.signer, self._quorums, self._policy, self._secrets)
            self._witness = self._new_witness(Witness.copy_of(kept.audit))
            self._reserves.newest = kept.reserves
        except (msgspec.MsgspecError, CustodyError) as error:
            raise EngineError(f"expected the state of signer {self.number}: {error}") from error
        if self.signer.number != self.number:
            raise EngineError(f"this is the state of signer {self.signer.number}, not of signer {self.number}")
        self._follow_ceremonies()
        self._remembers = True
        return said

    def _begin(self) -> None:
        """Where there is no state to go on from, but shares: what was asked for until now may have been signed."""
        if not self._remembers:
            self._secrets.owner_since_ms = self._clock_ms()
        if not self._remembers and self._keyfile.held:
            _log.warning("signer.memory_lost", signer=self.number, vaults=sorted(self._keyfile.held))
            self._keyfile.memory_lost(self._clock_ms())
        self._remembers = True

    def _owned(self) -> dict[str, Quorum]:
        """Of Safes of which this signer is an owner."""
        found = {}
        for name, vault in self._roster.vaults.items():
            if vault.owners and self.number in vault.signers:
                mine = owner_address(self._keyfile.seed, name)
                if vault.owners[self.number].lower() != mine.lower():
                    raise CustodyError(f"the roster has another owner {self.number} of vault {name} than mine: {mine}")
                chain_of(vault.chain)  # whose contracts are fetched now, not when there is something to sign
                found[name] = _quorum(owner_keys(vault))
        return found

    # -- what is heard

    def _letter(self, topic: str, letter: Letter) -> list[Message]:
        match letter.about:
            case "request":
                return self._request(topic, letter)
            case rites.ABOUT:
                said = self._ceremonies.hear(letter, self._clock_ms())
                self._follow_ceremonies()
                return said
            case "fact":
                if letter.sender not in self._roster.facts:
                    raise CustodyError(f"{letter.sender} is no source of facts; the roster's [facts] are")
                return self._fact(parse_fact(letter.body.encode()))
            case policies.ABOUT:
                return self._change_policy(letter) if letter.sender == COORDINATOR else []
            case "log" | "head":
                return self._audit(topic, letter)
            case reserving.ABOUT:
                return self._reserve(topic, letter)
            case "desk" | "audit" | bookings.ABOUT:
                return []  # for people
            case _:
                raise CustodyError(f"expected a letter about request, ceremony or fact, got {letter.about!r:.40}")

    def _request(self, topic: str, letter: Letter) -> list[Message]:
        if letter.sender != COORDINATOR:
            raise CustodyError(f"{letter.sender} asks what the coordinator asks")
        message = decode(letter.body.encode())
        if isinstance(message, AskCommitment) and self.number not in message.signers:
            return []
        if isinstance(message, AskShare) and self.number not in message.commitments:
            return []
        if isinstance(message, Propose | AskCommitment | AskShare) and topic == ROUNDS:
            # With the time of the last tick a new request would be one of the future.
            return self._say([*self.signer.handle(Tick(self._clock_ms())), *self.signer.handle(message)])
        if isinstance(message, Status):
            self.signer.handle(message)
        return []

    def _change_policy(self, letter: Letter) -> list[Message]:
        """Another policy, if the people of the present one want it; votes that it changes."""
        words = policies.decode(letter.body)
        if not isinstance(words, policies.ChangePolicy):
            return []
        said, reason = [], ""
        try:
            if words.text != self._policy.text:
                self._policy = change_policy(self._policy, words.text, words.approvals, verify_person)
                said = self._say(self.signer.set_policy(self._policy))
                _log.info("policy.changed", signer=self.number, version=self._policy.version, hash=self._policy.hash)
        except CustodyError as error:
            reason = str(error)[:1_000]
            _log.warning("policy.refused", signer=self.number, reason=reason)
        holds = policies.HoldsPolicy(self.number, self._policy.hash, self._policy.version, reason)
        return [self._pen.write(ROUNDS, policies.ABOUT, policies.ABOUT, policies.encode(holds)), *said]

    def _audit(self, topic: str, letter: Letter) -> list[Message]:
        """Entries of the audit log, or a question about a head of it."""
        if letter.sender != COORDINATOR:
            raise CustodyError(f"{letter.sender} says what the coordinator says")
        now_ms = self._clock_ms()
        if letter.about == "log":
            answers = self._witness.hear(letter.body.encode().split(b"\n"), now_ms)
        elif topic == ROUNDS:
            asked = heads.decode(letter.body)
            answers = self._witness.asked(asked, now_ms) if isinstance(asked, heads.Asked) else []
        else:
            return []  # one that is signed: for auditors
        return [self._pen.write(ROUNDS, one.log, "head", heads.encode(one)) for one in answers]

    def _reserve(self, topic: str, letter: Letter) -> list[Message]:
        """A question about a vault's reserve."""
        if letter.sender != COORDINATOR or topic != ROUNDS:
            raise CustodyError(f"{letter.sender} asks what the coordinator asks")
        answers = self._reserves.hear(letter.body, self._policy, self._clock_ms())
        return [self._pen.write(ROUNDS, one.log, reserving.ABOUT, heads.encode(one)) for one in answers]

    def _new_witness(self, copy: Copy | None = None) -> Witness:
        def share() -> KeyShare | None:
            held = self._keyfile.held.get(AUDIT)
            return held.share if held else None

        return Witness(JOURNAL, self.number, signer_name(self.number), share, secrets.token_bytes, copy)

    def _fact(self, event: FactEvent | None) -> list[Message]:
        return [] if event is None else self._say(self.signer.handle(event))

    def _follow_ceremonies(self) -> None:
        for vault, quorum in self._ceremonies.changed().items():
            self._quorums[vault] = quorum
            self.signer.set_quorum(vault, quorum)

    # -- what is said

    def _say(self, answers: Sequence[Any]) -> list[Message]:
        for one in answers:
            count("signer", one)
            if self._roster.audit is not None and isinstance(one, Share):
                self._witness.gave(one.request_id, one.share, self._clock_ms())
        return [self._pen.write(ROUNDS, one.request_id, "request", encode(one).decode()) for one in answers]


def _quorum(public: Any) -> Quorum:
    return Quorum(tuple(public.shares), public.threshold, public.epoch)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
