"""What the coordinator shows to everybody of vaults, policy and heads: on ``releases`` now, on the board for who comes later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.custody import asks
from streams.custody.derive import chain_of
from streams.custody.mail import RELEASES
from streams.custody.roster import AUDIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep.custody.frost.keys import PublicKeys
    from streams.codec import Message
    from streams.custody.board import Board
    from streams.custody.chaindesk import ChainDesk
    from streams.custody.mail import Pen
    from streams.custody.owners import OwnerKeys
    from streams.custody.roster import Roster


class Window:
    """Says what has changed since it was said last.

    Args:
        roster: who is who.
        pen: the coordinator's.
        desk: knows addresses and balances.
        board: keeps what stands.
    """

    def __init__(self, roster: Roster, pen: Pen, desk: ChainDesk, board: Board) -> None:
        self._roster, self._pen, self._desk, self._board = roster, pen, desk, board
        self._shown: dict[str, asks.VaultStands | asks.AuditStands] = {}

    def vaults(self, publics: Mapping[str, PublicKeys | OwnerKeys]) -> list[Message]:
        """Vaults with a key, and the key of the audit log."""
        said = []
        for name, public in publics.items():
            group = (public.group.hex(), public.epoch, public.threshold, tuple(public.shares))
            shown: asks.VaultStands | asks.AuditStands
            if name == AUDIT:
                shown = asks.AuditStands(*group)
            else:
                vault = self._roster.vaults[name]
                about = (vault.account, vault.chain, chain_of(vault.chain).asset.symbol, self._desk.address(name))
                free = (str(self._desk.told(name)), self._desk.told_at(name))
                shown = asks.VaultStands(name, *about, *group, *free)
            if self._shown.get(name) != shown:
                self._shown[name] = shown
                said.append(self._pen.write(RELEASES, name, "desk", asks.encode(shown)))
                self._board.put(f"vault/{name}", said[-1])
        return said

    def also(self, thing: str, about: str, said: Iterable[Message]) -> list[Message]:
        """Letters on their way; those to everybody about this are on the board as this thing."""
        found = list(said)
        for message in found:
            if message.topic == RELEASES and f'"about":"{about}"'.encode() in (message.value or b""):
                self._board.put(thing, message)
        return found
