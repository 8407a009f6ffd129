"""Another policy, over the topics: letters about ``policy``.

    people ── ProposePolicy (each with the text and a signature of old and new hash) ──▶ coordinator
    coordinator ── ChangePolicy (text, all signatures) ──▶ signers, each of which counts for itself (``change_policy``)
    signers ── HoldsPolicy ──▶ coordinator          which one they go by now, or why they did not change
    coordinator ── PolicyStands ──▶ everybody

A signer that was away reads the changes in their order when it is back. It keeps the newest with its state; a file of a higher
version at its start is taken instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec

from m1cep.custody.policy import ChangeApproval, change_policy, parse_policy

# msgspec reads the annotations when it decodes, so these are needed while it runs.
from m1cep.custody.request import Digest  # noqa: TC001
from m1cep.errors import CustodyError
from streams.custody.mail import RELEASES, ROUNDS
from streams.custody.roster import signer_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from m1cep.custody.policy import Policy
    from m1cep.custody.policy.approvals import Verify
    from streams.codec import Message
    from streams.custody.mail import Letter, Pen

ABOUT = "policy"
MAX_BYTES = 256 * 1024
_MOST_PENDING = 20
_MOST_SIGNATURES = 50

_PolicyText: TypeAlias = Annotated[str, msgspec.Meta(max_length=128 * 1024)]
_Reason: TypeAlias = Annotated[str, msgspec.Meta(max_length=1_000)]


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=True):
    pass


class ProposePolicy(_Words, frozen=True):
    """A person wants this policy instead of the present one."""

    text: _PolicyText
    approval: ChangeApproval


class ChangePolicy(_Words, frozen=True):
    """Enough people want it, says the coordinator; who believes it counts."""

    text: _PolicyText
    approvals: Annotated[tuple[ChangeApproval, ...], msgspec.Meta(max_length=_MOST_SIGNATURES)]


class HoldsPolicy(_Words, frozen=True):
    """By which policy a signer goes, and why it goes by no other; empty: it has changed, or was asked for nothing else."""

    signer: Annotated[int, msgspec.Meta(ge=1, le=255)]
    hash: Digest
    version: int
    reason: _Reason = ""


class PolicyStands(_Words, frozen=True):
    """Where policies stand.

    Attributes:
        hash, version: the coordinator's.
        pending: those that people want, by hash: who has signed.
        signers: hash of each signer's, as far as it has said so.
        refused: why somebody's word was not taken, the last time; empty: it was.
    """

    hash: Digest
    version: int
    pending: dict[str, tuple[str, ...]] = {}
    signers: dict[str, str] = {}
    refused: _Reason = ""


Words: TypeAlias = ProposePolicy | ChangePolicy | HoldsPolicy | PolicyStands

_decoder: msgspec.json.Decoder[Words] = msgspec.json.Decoder(Words)


def encode(words: Words) -> str:
    """The body of a letter."""
    return msgspec.json.encode(words, order="sorted").decode()


def decode(body: str) -> Words:
    """From the body of a letter.

    Raises:
        CustodyError: it is too long, or not of that form.
    """
    if len(body) > MAX_BYTES:
        raise CustodyError(f"expected words about a policy of at most {MAX_BYTES} characters, got {len(body)}")
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CustodyError(f"expected words about a policy: {error}") from None


def signed_change(old: str, text: str, pen: Pen) -> ProposePolicy:
    """One person's word for another policy.

    Args:
        old: hash of the present policy.
        text: the new one.
        pen: the person's.

    Raises:
        PolicyError: it is no policy.
    """
    word = ChangeApproval(old, parse_policy(text).hash, pen.sender)
    signature = pen.sign(word.message()).hex()
    return ProposePolicy(text, msgspec.structs.replace(word, signature=signature))


class Kept(msgspec.Struct):
    """What the coordinator remembers.

    Attributes:
        newest: that came over the topics; None: the file is the newest.
        pending: by hash, what people want.
        signers: by name, the hash that each said it goes by.
    """

    newest: ChangePolicy | None = None
    pending: dict[str, ChangePolicy] = {}
    signers: dict[str, str] = {}


class PolicyDesk:
    """The coordinator's side: collects people's words for a policy, and hands it on when they are enough.

    Args:
        policy: of its file.
        pen: the coordinator's.
        verify: whether a person's signature is by a key.
        taken: is told of another policy.
    """

    def __init__(self, policy: Policy, pen: Pen, verify: Verify, taken: Callable[[Policy], None]) -> None:
        self._policy, self._pen, self._verify, self._taken = policy, pen, verify, taken
        self._kept = Kept()
        self._refused = ""

    def hear_person(self, letter: Letter) -> list[Message]:
        """A person's word; what is to be said.

        Raises:
            CustodyError: it cannot be one.
        """
        words = decode(letter.body)
        if not isinstance(words, ProposePolicy) or words.approval.approver != letter.sender:
            raise CustodyError(f"{letter.sender} can only say that a policy is wanted, in the own name")
        self._refused = ""
        try:
            said = self._propose(words)
        except CustodyError as error:
            self._refused, said = str(error)[:1_000], []
        return [*said, self.stands()]

    def _propose(self, words: ProposePolicy) -> list[Message]:
        one, policy = words.approval, self._policy
        new = parse_policy(words.text)
        if (one.old, one.new) != (policy.hash, new.hash):
            raise CustodyError(
                f"the word is for a change from {one.old} to {one.new}, the present policy is {policy.hash}"
            )
        if one.approver not in policy.groups[policy.change.group]:
            raise CustodyError(f"{one.approver} is not of group {policy.change.group}, who may change the policy")
        if new.version != policy.version + 1:
            raise CustodyError(f"expected version {policy.version + 1} of the policy, got version {new.version}")
        if not self._verify(policy.people[one.approver], one.message(), one.signature):
            raise CustodyError(f"the signature of {one.approver} does not verify")
        pending = self._kept.pending
        known = pending.get(new.hash, ChangePolicy(words.text, ()))
        others = tuple(other for other in known.approvals if other.approver != one.approver)
        change = pending[new.hash] = ChangePolicy(words.text, (*others, one))
        while len(pending) > _MOST_PENDING:
            del pending[next(iter(pending))]
        if len(change.approvals) < policy.change.count:
            return []
        self._policy = change_policy(policy, change.text, change.approvals, self._verify)
        self._kept.newest, self._kept.pending = change, {}
        self._taken(self._policy)
        return self.again()

    def again(self) -> list[Message]:
        """The newest change, for signers; after a restart once more."""
        newest = self._kept.newest
        return [] if newest is None else [self._pen.write(ROUNDS, ABOUT, ABOUT, encode(newest))]

    def hear_signer(self, letter: Letter) -> list[Message]:
        """Which policy a signer goes by; what is to be said.

        Raises:
            CustodyError: it is not that.
        """
        words = decode(letter.body)
        if not isinstance(words, HoldsPolicy) or letter.sender != signer_name(words.signer):
            raise CustodyError(f"{letter.sender} can only say which policy it goes by, in its own name")
        self._kept.signers[letter.sender] = words.hash
        return [self.stands()]

    def stands(self) -> Message:
        """For everybody."""
        pending = {name: tuple(one.approver for one in change.approvals) for name, change in self._kept.pending.items()}
        policy = self._policy
        words = PolicyStands(policy.hash, policy.version, pending, dict(self._kept.signers), self._refused)
        return self._pen.write(RELEASES, ABOUT, ABOUT, encode(words))

    def snapshot(self) -> Any:
        """Plain values."""
        return msgspec.to_builtins(self._kept)

    def load(self, kept: Any) -> None:
        """As it was.

        Raises:
            CustodyError: this is no snapshot of it, or the file is another policy of the version that came over the topics.
        """
        try:
            self._kept = msgspec.convert(kept, Kept)
        except msgspec.ValidationError as error:
            raise CustodyError(f"expected the state of policies: {error}") from None
        change = self._kept.newest
        newest = newest_policy(self._policy, change.text if change else "")
        if newest is not self._policy:
            self._policy = newest
            self._taken(newest)
        elif change is not None and change.text != newest.text:
            self._kept.newest, self._kept.pending = None, {}


def newest_policy(of_file: Policy, text: str) -> Policy:
    """The policy to go by after a restart: the file's, or one that came over the topics and is newer.

    Args:
        of_file: what ``--policy`` names.
        text: what came over the topics; empty: nothing.

    Raises:
        CustodyError: they are two policies of one version.
    """
    if not text:
        return of_file
    kept = parse_policy(text)
    if kept.version == of_file.version and kept.hash != of_file.hash:
        raise CustodyError(
            f"the policy file is another version {of_file.version} ({of_file.hash}) than the one that people have signed "
            f"({kept.hash}): put the signed one there"
        )
    return kept if kept.version > of_file.version else of_file
