"""An audit log held against the heads that were signed: what ``m1cep custody audit`` finds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.custody.audit import Break, verify
from m1cep.custody.heads.messages import is_head_signed
from streams.custody.journal import NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.custody.audit import Head
    from streams.custody.roster import Roster
    from streams.custody.view import View


@dataclass(frozen=True)
class Finding:
    """What came of it.

    Attributes:
        broken: the first place where the log is broken; None: it is whole, and all heads fit.
        end: of the log.
        by_group, by_coordinator: how many heads fit.
        group_to: up to which entry the group has signed; 0: nothing.
        warning: what the verdict does not rest on, in words; empty: nothing to say.
    """

    broken: Break | None
    end: Head | None = None
    by_group: int = 0
    by_coordinator: int = 0
    group_to: int = 0
    warning: str = ""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        heads = {"by_group": self.by_group, "by_coordinator": self.by_coordinator, "group_to": self.group_to}
        return {**msgspec.to_builtins(self.end), "heads": heads, "warning": self.warning}

    def words(self) -> str:
        """For people."""
        assert self.end is not None  # of a log that is broken this is not asked
        words = f"{self.end.seq} entries, unbroken. {self.by_group} heads signed by the signers' group fit"
        if self.by_group:
            words += f", the newest at entry {self.group_to} (nobody can change that or what is before it)"
        words += f"; {self.by_coordinator} of the coordinator fit. It ends with {self.end.hash}"
        return words + (f"\nwarning: {self.warning}" if self.warning else "")


class Auditor:
    """Verifies logs.

    Args:
        roster: its ``[audit]`` has the group's public key.
        view: with the heads that are on Kafka.
    """

    def __init__(self, roster: Roster, view: View) -> None:
        self._roster, self._view = roster, view

    def verify(self, lines: Sequence[bytes]) -> Finding:
        """A log, a line an entry, against all heads."""
        key, warning = self._key()
        signed = self._view.signed_heads if key else []
        # A head with a wrong signature proves nothing against the log: the coordinator may have sent anything.
        genuine = [(one.head, bytes.fromhex(one.signature)) for one in signed if one.is_by(key)]
        if len(genuine) < len(signed):
            warning = (
                f"{len(signed) - len(genuine)} heads on Kafka are not signed by the group's key: somebody made them up"
            )
        found = verify(NAME, lines, genuine, partial(is_head_signed, key))
        if isinstance(found, Break):
            return Finding(found)
        found = verify(NAME, lines, self._view.heads, self._view.head_is_signed)
        if isinstance(found, Break):
            return Finding(found)
        newest = max((head.seq for head, _ in genuine), default=0)
        return Finding(None, found, len(genuine), len(self._view.heads), newest, warning)

    def _key(self) -> tuple[bytes, str]:
        group = self._roster.audit
        if group is None:
            return b"", "the roster has no [audit]: only the coordinator signs heads, and it could write another log"
        if group.key is None:
            return b"", (
                "the roster's [audit] has no key yet, so heads of the group prove nothing here: "
                "m1cep custody keygen audit makes one, and prints what belongs there"
            )
        return bytes.fromhex(group.key), ""
