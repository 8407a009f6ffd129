"""A policy file to a policy."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

from m1cep.custody.policy.conditions import conditions
from m1cep.custody.policy.events import Severity
from m1cep.custody.policy.reader import read
from m1cep.custody.policy.spec import Approvers, Policy, PolicyRule, Verdict
from m1cep.errors import PolicyError, SourceText

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.policy.reader import Node

_KEYS = ("version", "summary", "people", "groups", "change", "refuse_alerts", "close_alerts", "rules")
_NEEDED = ("version", "people", "groups", "change", "rules")
_RULE_KEYS = ("name", "when", "then", "group", "count", "reason")
_PUBLIC_KEY = re.compile(r"([0-9a-f]{2}){32,65}")
#: Names of the guards in ``decide``; a rule of the file may not pass for one.
GUARDS = ("expired", "not-yet", "hold", "alert", "lock", "solvency")


def parse_policy(text: str, name: str = "policy") -> Policy:
    """A policy from its text (YAML, read strictly).

    Args:
        text: of the file.
        name: under which messages cite it.

    Raises:
        PolicyError: it is not what a policy must be; has the line, the column and the nearest known key.
    """
    source = SourceText(text, name)
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise PolicyError("expected Unicode text, got half a surrogate pair", source, error.start) from None
    found = read(source).fields(_KEYS, _NEEDED)
    if "summary" in found:
        found["summary"].text()
    people = _people(found["people"])
    groups = _groups(found["groups"], people)
    change_fields = found["change"].fields(("group", "count"), ("group", "count"))
    change = _approvers(change_fields["group"], change_fields["count"], groups, least=2)
    least = found["refuse_alerts"].word(Severity) if "refuse_alerts" in found else Severity.CRITICAL
    closers = None
    if "close_alerts" in found:
        closing = found["close_alerts"].fields(("group", "count"), ("group", "count"))
        closers = _approvers(closing["group"], closing["count"], groups, least=1)
    return Policy(
        hash=sha256(content).hexdigest(),
        version=found["version"].whole(1),
        people=people,
        groups=groups,
        change=change,
        refuse_alerts=least,
        close_alerts=closers,
        rules=_rules(found["rules"], groups),
        text=text,
    )


def _people(node: Node) -> dict[str, str]:
    owner: dict[str, str] = {}
    people = {}
    for name, value in node.entries().items():
        key = value.text()
        if not _PUBLIC_KEY.fullmatch(key):
            value.refuse(f"expected a public key of 64 to 130 lower-case hexadecimal digits, got {len(key)} characters")
        if key in owner:
            value.refuse(f"{owner[key]!r} has the same key: two names would count as two people")
        owner[key] = name
        people[name] = key
    return people


def _groups(node: Node, people: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    groups = {}
    for name, value in node.entries().items():
        value.items(lambda item: item.one_of(people, "person"))
        groups[name] = value.names()
    return groups


def _approvers(group: Node, count: Node, groups: Mapping[str, tuple[str, ...]], *, least: int) -> Approvers:
    name = group.one_of(groups, "group")
    number = count.whole(least)
    if number > len(groups[name]):
        count.refuse(f"group {name!r} has only {len(groups[name])} people, so {number} can never approve")
    return Approvers(name, number)


def _rules(node: Node, groups: Mapping[str, tuple[str, ...]]) -> tuple[PolicyRule, ...]:
    seen: set[str] = set()
    nodes: list[Node] = []

    def rule(item: Node) -> PolicyRule:
        nodes.append(item)
        return _rule(item, groups, seen)

    rules = node.items(rule)
    for at, one in zip(nodes[:-1], rules[:-1], strict=True):
        if not one.when:
            at.refuse(f"rule {one.name!r} has no conditions, so the rules after it never apply")
    if rules[-1].when or rules[-1].then is not Verdict.REJECT:
        nodes[-1].refuse(
            f"the last rule must block what is left, and {rules[-1].name!r} does not",
            hint="end with a rule without 'when' and with 'then: reject'",
        )
    return rules


def _rule(node: Node, groups: Mapping[str, tuple[str, ...]], seen: set[str]) -> PolicyRule:
    found = node.fields(_RULE_KEYS, ("name", "then"))
    name = found["name"].name()
    if name in seen or name in GUARDS:
        found["name"].refuse(f"the name {name!r} is taken" + (" by a guard" if name in GUARDS else ""))
    seen.add(name)
    when = conditions(found["when"], groups) if "when" in found else ()
    then = found["then"].word(Verdict)
    if then is Verdict.WAIT:
        found["then"].refuse("expected allow, approve or reject, got 'wait'")
    only = {"group": Verdict.APPROVE, "count": Verdict.APPROVE, "reason": Verdict.REJECT}
    for key, verdict in only.items():
        if key in found and then is not verdict:
            found[key].refuse(f"a rule that says {then.value} has none")
        if key not in found and then is verdict:
            node.refuse(f"expected the key {key!r} in a rule that says {then.value}")
    approvers = _approvers(found["group"], found["count"], groups, least=1) if then is Verdict.APPROVE else None
    return PolicyRule(name, when, then, approvers, found["reason"].text() if "reason" in found else "")
