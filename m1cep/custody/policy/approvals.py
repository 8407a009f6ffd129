"""What people sign: that they approve or refuse a request, and that they approve of another policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from m1cep.custody.canonical import tagged
from m1cep.custody.policy.parse import parse_policy
from m1cep.custody.policy.spec import Decision, Policy, Verdict

# msgspec reads the annotations when it decodes, so these are needed while it runs.
from m1cep.custody.request import Digest, Name  # noqa: TC001
from m1cep.errors import CustodyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from m1cep.custody.request import Request

    #: Whether a signature (third, hexadecimal) over a message (second) is by a public key (first, hexadecimal).
    Verify: TypeAlias = Callable[[str, bytes, str], bool]

Signature: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2}){1,512}\Z")]


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's word on a request.

    Attributes:
        request_digest: of the contents that the person saw; it counts for no others.
        approve: else the person refuses.
        signature: over :meth:`message`, by the approver's key.
    """

    request_id: Name
    request_digest: Digest
    approver: Name
    approve: bool
    signature: Signature = "00"

    def message(self) -> bytes:
        """What is signed."""
        word = "approve" if self.approve else "refuse"
        return tagged(
            "approval", {"request": self.request_id, "digest": self.request_digest, "by": self.approver, "word": word}
        )


class ChangeApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's word for another policy.

    Attributes:
        old, new: hashes of the policies.
        signature: over :meth:`message`, by the approver's key.
    """

    old: Digest
    new: Digest
    approver: Name
    signature: Signature = "00"

    def message(self) -> bytes:
        """What is signed."""
        return tagged("policy-change", {"old": self.old, "new": self.new, "by": self.approver})


def settle(
    policy: Policy, decision: Decision, request: Request, approvals: Iterable[Approval], verify: Verify
) -> Decision:
    """A decision that asks for people, in the light of what they said: allowed, rejected because one refused, or as it was.

    Words of others than the group, of the requester, on other contents, or with a wrong signature count for nothing.
    """
    if decision.verdict is not Verdict.APPROVE:
        return decision
    said: dict[str, bool] = {}
    content = request.digest()
    for one in approvals:
        counts = (
            one.approver in policy.groups[decision.group]
            and one.approver != request.requester
            and (one.request_id, one.request_digest) == (request.id, content)
            and verify(policy.people[one.approver], one.message(), one.signature)
        )
        if counts:
            said[one.approver] = one.approve and said.get(one.approver, True)  # who refuses once has refused
    if refused := sorted(name for name, approves in said.items() if not approves):
        return Decision(Verdict.REJECT, decision.rule, f"refused by {', '.join(refused)}", policy.hash)
    if len(said) >= decision.count:
        reason = f"approved by {', '.join(sorted(said))}"
        return Decision(Verdict.ALLOW, decision.rule, reason, policy.hash)
    missing = decision.count - len(said)
    reason = f"{decision.reason}; {missing} missing"
    return msgspec.structs.replace(decision, reason=reason)


def change_policy(policy: Policy, text: str, approvals: Iterable[ChangeApproval], verify: Verify) -> Policy:
    """The policy that follows, if enough of those whom the present one names have signed its hash.

    Raises:
        PolicyError: the text is no policy.
        CustodyError: its version is not the next, or approvals are missing.
    """
    new = parse_policy(text)
    if new.version != policy.version + 1:  # so that an old policy cannot come back with its old approvals
        raise CustodyError(f"expected version {policy.version + 1} of the policy, got version {new.version}")
    group = policy.groups[policy.change.group]
    signed = {
        one.approver
        for one in approvals
        if one.approver in group
        and (one.old, one.new) == (policy.hash, new.hash)
        and verify(policy.people[one.approver], one.message(), one.signature)
    }
    if len(signed) < policy.change.count:
        raise CustodyError(
            f"expected {policy.change.count} of {policy.change.group} to approve of policy {new.hash}, "
            f"got {len(signed)}: {', '.join(sorted(signed)) or 'nobody'}"
        )
    return new
