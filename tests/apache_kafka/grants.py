"""The grants of docs/security.md: read from its table, given to principals of the test's broker."""

from __future__ import annotations

import re
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
_ROW = re.compile(
    r"^\| (?P<role>[\w-]+) \| (?P<kind>topic|group) (?P<names>`[^|]+`) \| (?P<operations>[\w, ]+) \|", re.MULTILINE
)


def of_role(role: str) -> list[ACL]:
    """What the table grants to a role; ``signer-1`` is a ``signer-N``."""
    number = role.rpartition("-")[2]
    found = [
        _acl(role, row["kind"], name.replace("signer-N", f"signer-{number}"), operation)
        for row in _ROW.finditer(DOCUMENT.read_text())
        if row["role"] in (role, re.sub(r"\d+$", "N", role))
        for name in re.findall(r"`([^`]+)`", row["names"])
        for operation in row["operations"].split(", ")
    ]
    assert found, f"{DOCUMENT.name} has no grants of {role}"
    return found


def _acl(principal: str, kind: str, name: str, operation: str) -> ACL:
    pattern = ACLResourcePatternType.PREFIXED if name.endswith("*") else ACLResourcePatternType.LITERAL
    resource = ResourcePattern(ResourceType[kind.upper()], name.removesuffix("*"), pattern)
    return ACL(f"User:{principal}", "*", ACLOperation[operation.upper()], ACLPermissionType.ALLOW, resource)


def grant(address: str, acls: list[ACL]) -> None:
    """Put grants into force; returns when the broker knows them."""
    admin = KafkaAdminClient(bootstrap_servers=address)
    assert not admin.create_acls(acls)["failed"]
    admin.close()
