"""Requests as anybody can see them: what coordinator and signers have said, put together. Nothing here is to be acted on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.custody.audit import sequence_of
from m1cep.custody.heads.messages import decode_signed
from m1cep.custody.requests import decode
from m1cep.custody.requests.messages import Propose, Refused, Status, Vote
from m1cep.errors import CustodyError
from streams.custody import asks, board, policies
from streams.custody.auditing import parse_head
from streams.custody.derive import chain_of
from streams.custody.mail import open_letter
from streams.custody.policies import PolicyStands
from streams.custody.roster import COORDINATOR, signer_name

if TYPE_CHECKING:
    from m1cep.custody.audit import Head
    from m1cep.custody.heads import SignedHead
    from m1cep.custody.policy import Approval
    from m1cep.custody.request import Request
    from streams.custody.mail import Letter
    from streams.custody.roster import Roster


@dataclass
class Seen:
    """A request.

    Attributes:
        request: None until signers were asked.
        votes: the newest of each signer.
        refused: what was asked for and not done, and why.
        answers: how often the coordinator has said something of it.
    """

    id: str
    request: Request | None = None
    approvals: tuple[Approval, ...] = ()
    status: Status | None = None
    votes: dict[int, Vote] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    answers: int = 0

    @property
    def state(self) -> str:
        """Its state, or ``refused`` where it never had one."""
        return self.status.state.value if self.status else "refused"

    def plain(self, roster: Roster) -> dict[str, Any]:
        """All of it, for JSON."""
        vault = roster.vaults.get(self.request.vault) if self.request else None
        return {
            "id": self.id,
            "state": self.state,
            "reason": self.status.reason if self.status else "",
            "unresolved": bool(self.status and self.status.unresolved),
            "attempt": self.status.attempt if self.status else 0,
            "time_ms": self.status.time_ms if self.status else None,
            "excluded": {str(s): how for s, how in self.status.excluded.items()} if self.status else {},
            "request": msgspec.to_builtins(self.request) if self.request else None,
            "shown": show_amount(self.request) if self.request else None,
            "threshold": vault.threshold if vault else None,
            "signers": sorted(vault.signers) if vault else [],
            "votes": {
                str(s): {"word": v.word.value, "rule": v.rule, "reason": v.reason}
                for s, v in sorted(self.votes.items())
            },
            "approvals": [{"by": one.approver, "approve": one.approve} for one in self.approvals],
            "refused": self.refused,
        }


class View:
    """What letters of rounds and releases say.

    Args:
        roster: who is who; letters of others are not heard.
    """

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.requests: dict[str, Seen] = {}
        self.vaults: dict[str, asks.VaultStands] = {}
        self.ceremonies: dict[str, asks.CeremonyStands] = {}
        self.answers: dict[str, asks.Answered] = {}
        self.reserves: dict[str, asks.Stands] = {}
        self.heads: list[tuple[Head, bytes]] = []
        #: Those that the signers' group has signed, as far as the letters say so: ``SignedHead.is_by`` is the proof.
        self.signed_heads: list[SignedHead] = []
        #: The audit log as it was sent to the signers, by the number of the entry; the first that came of each.
        self.log: dict[int, bytes] = {}
        self.policy: PolicyStands | None = None
        #: How often the coordinator has said something of policies.
        self.policy_words = 0
        self.audit: asks.AuditStands | None = None

    def take(self, value: bytes | None) -> None:
        """A record's value. What is no letter of somebody known, or says what its sender cannot say, is left out."""
        try:
            letter = open_letter(value, self.roster.keys)
            if letter.about == "request":
                self._request(letter)
            elif letter.sender == COORDINATOR and letter.about == board.ABOUT:
                self._stands(board.decode(letter.body))
            elif letter.sender == COORDINATOR and letter.about == "desk":
                self._desk(letter)
            elif letter.sender == COORDINATOR and letter.about == "log":
                for line in letter.body.encode().split(b"\n"):
                    self.log.setdefault(sequence_of(line) or 0, line)
            elif letter.sender == COORDINATOR and letter.about == "audit":
                self.heads.append((parse_head(letter.body), value or b""))
            elif letter.sender == COORDINATOR and letter.about == policies.ABOUT:
                words = policies.decode(letter.body)
                if isinstance(words, PolicyStands):
                    self.policy, self.policy_words = words, self.policy_words + 1
            elif letter.about == "head":
                self.signed_heads.append(decode_signed(letter.body))
        except CustodyError:
            return

    def _request(self, letter: Letter) -> None:
        message = decode(letter.body.encode())
        by_coordinator = letter.sender == COORDINATOR
        if isinstance(message, Propose) and by_coordinator:
            seen = self._seen(message.request.id)
            seen.request, seen.approvals = message.request, message.approvals
        elif isinstance(message, Status) and by_coordinator:
            seen = self._seen(message.request_id)
            seen.answers += 1
            if seen.status is None or _is_newer(message, seen.status):
                seen.status = message
        elif isinstance(message, Refused) and by_coordinator:
            seen = self._seen(message.request_id)
            seen.answers += 1
            seen.refused.append(message.reason)
        elif isinstance(message, Vote) and letter.sender == signer_name(message.signer):
            votes = self._seen(message.request_id).votes
            if message.signer not in votes or message.number > votes[message.signer].number:
                votes[message.signer] = message

    def _stands(self, stands: board.RequestStands) -> None:
        seen = self._seen(stands.request.id)
        seen.request, seen.status, seen.approvals = stands.request, stands.status, stands.approvals
        seen.votes |= {vote.signer: vote for vote in stands.votes}

    def _seen(self, request_id: str) -> Seen:
        return self.requests.setdefault(request_id, Seen(request_id))

    def _desk(self, letter: Letter) -> None:
        said = asks.parse_said(letter.body)
        if isinstance(said, asks.VaultStands):
            self.vaults[said.vault] = said
        elif isinstance(said, asks.CeremonyStands):
            self.ceremonies[said.id] = said
        elif isinstance(said, asks.AuditStands):
            self.audit = said
        elif isinstance(said, asks.Stands):
            self.reserves[said.id] = said
        else:
            self.answers[said.id] = said

    def forget_answers(self) -> None:
        """Let go of what only those look at who have asked for it: for who looks on for ever."""
        for one in (self.ceremonies, self.answers, self.reserves, self.log, self.heads, self.signed_heads):
            one.clear()

    @property
    def newest_head(self) -> int:
        """The last entry of the audit log that a head names, whoever signed it; 0: none."""
        named = [head.seq for head, _ in self.heads] + [signed.head.seq for signed in self.signed_heads]
        return max(named, default=0)

    def head_is_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the coordinator has signed a head: ``signature`` is the whole letter that brought it."""
        try:
            letter = open_letter(signature, self.roster.keys)
            head = parse_head(letter.body)
        except CustodyError:
            return False
        return (letter.sender, letter.about) == (COORDINATOR, "audit") and head.message() == message


def _is_newer(one: Status, than: Status) -> bool:
    """Anybody who may write to the topic can say once more what the coordinator has said before."""
    return one.time_ms >= than.time_ms and (one.state.ended or not than.state.ended)


def show_amount(request: Request) -> str:
    """The amount as people write it."""
    try:
        return chain_of(request.chain).asset.show(request.units)
    except CustodyError:
        return f"{request.amount} minor units of {request.asset}"
