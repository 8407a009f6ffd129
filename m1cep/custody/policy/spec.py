"""What a policy says once it is understood."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.policy.conditions import Condition
    from m1cep.custody.policy.events import Severity


class Verdict(StrEnum):
    """What is to be done with a request."""

    ALLOW = "allow"
    APPROVE = "approve"  # when enough people of a group have approved
    WAIT = "wait"  # not now; look again
    REJECT = "reject"


class Decision(msgspec.Struct, frozen=True):
    """A verdict, and what it comes from.

    Attributes:
        rule: name of the rule of the file, or of the guard that no file can turn off.
        reason: for people; names the alert where there is one.
        policy: hash of the policy.
        group, count: who has to approve, and how many of them.
        alerts: ids of the alerts that are in the way.
    """

    verdict: Verdict
    rule: str
    reason: str
    policy: str
    group: str = ""
    count: int = 0
    alerts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Approvers:
    """So many different people of a group."""

    group: str
    count: int


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """A line of the file.

    Attributes:
        when: all must hold; empty: always.
        then: allow, approve or reject.
        approvers: where it is approve.
        reason: where it is reject.
    """

    name: str
    when: tuple[Condition, ...]
    then: Verdict
    approvers: Approvers | None
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy file, checked.

    Attributes:
        hash: 64 hexadecimal digits of SHA-256 over the file's UTF-8 bytes, as ``sha256sum`` prints.
        version: grows by one with each change.
        people: public keys of approvers by name, hexadecimal.
        groups: names of people by group.
        change: who has to approve of another policy; two at least.
        refuse_alerts: least severity of an open alert on the account for which a request is rejected.
        close_alerts: who may close alerts, and how many of them it takes; None: nobody of the policy.
        rules: the first that matches decides; the last blocks what is left.
        text: the file.
    """

    hash: str
    version: int
    people: Mapping[str, str]
    groups: Mapping[str, tuple[str, ...]]
    change: Approvers
    refuse_alerts: Severity
    close_alerts: Approvers | None
    rules: tuple[PolicyRule, ...]
    text: str
