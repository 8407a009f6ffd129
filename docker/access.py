"""Kafka's users and grants, once, before anybody else connects: passwords from files, grants from the table of docs/security.md.

    python access.py [SECURITY.md] [SECRETS]        # M1CEP_BROKER: a listener of the broker whose clients may do everything

A user is a file ``kafka_NAME``; NAME is a role of the table (``signer-2`` is a ``signer-N``). What is granted already stays.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    UserScramCredentialUpsertion,
)

MECHANISM = "SCRAM-SHA-512"
_ROW = re.compile(
    r"^\| (?P<role>[\w-]+) \| (?P<kind>topic|group) (?P<names>`[^|]+`) \| (?P<operations>[\w, ]+) \|", re.MULTILINE
)


def grants(document: str, user: str) -> list[ACL]:
    """What the table grants to a user."""
    number = user.rpartition("-")[2]
    return [
        _acl(user, row["kind"], name.replace("signer-N", f"signer-{number}"), operation)
        for row in _ROW.finditer(document)
        if row["role"] in (user, re.sub(r"\d+$", "N", user))
        for name in re.findall(r"`([^`]+)`", row["names"])
        for operation in row["operations"].split(", ")
    ]


def _acl(user: str, kind: str, name: str, operation: str) -> ACL:
    pattern = ACLResourcePatternType.PREFIXED if name.endswith("*") else ACLResourcePatternType.LITERAL
    resource = ResourcePattern(ResourceType[kind.upper()], name.removesuffix("*"), pattern)
    return ACL(f"User:{user}", "*", ACLOperation[operation.upper()], ACLPermissionType.ALLOW, resource)


def main(document: Path, secrets: Path, broker: str) -> int:
    """Put users and grants into force."""
    passwords = {file.name.removeprefix("kafka_"): file.read_text().strip() for file in sorted(secrets.glob("kafka_*"))}
    text = document.read_text()
    wanted = {user: grants(text, user) for user in passwords}
    without = sorted(user for user, found in wanted.items() if not found)
    if without or not wanted:
        print(f"access.py: {document.name} has no grants of {', '.join(without) or 'anybody'}", file=sys.stderr)
        return 1
    admin = KafkaAdminClient(bootstrap_servers=broker)
    try:
        users = [UserScramCredentialUpsertion(user, MECHANISM, password) for user, password in passwords.items()]
        refused = {user: error for user, error in admin.alter_user_scram_credentials(users).items() if error}
        failed = admin.create_acls([acl for found in wanted.values() for acl in found])["failed"]
    finally:
        admin.close()
    if refused or failed:
        print(f"access.py: Kafka refuses {refused or failed}", file=sys.stderr)
        return 1
    print(f"access.py: {len(passwords)} users, {sum(map(len, wanted.values()))} grants")
    return 0


if __name__ == "__main__":
    sys.exit(
        main(
            Path(sys.argv[1] if len(sys.argv) > 1 else "/opt/m1cep/security.md"),
            Path(sys.argv[2] if len(sys.argv) > 2 else "/run/secrets"),
            os.environ["M1CEP_BROKER"],
        )
    )
