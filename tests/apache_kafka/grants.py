"""The grants of docs/security.md: read from its table, given to principals of the test's broker."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_ANY = ACLFilter(
    None,
    None,
    ACLOperation.ANY,
    ACLPermissionType.ANY,
    ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
)
_PATIENCE_S = 60
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
    _wait(lambda: set(acls) <= set(known(admin)))
    admin.close()


def revoke_all(admin: KafkaAdminClient) -> None:
    """Take every grant back; returns when the broker knows of none."""
    admin.delete_acls([_ANY])
    _wait(lambda: not known(admin))


def known(admin: KafkaAdminClient) -> list[ACL]:
    """The grants that the broker knows: it learns of them after the controller."""
    found: list[ACL] = admin.describe_acls(_ANY)[0]
    return found


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Kafka does not know of its grants after {_PATIENCE_S} s")
        time.sleep(0.02)
