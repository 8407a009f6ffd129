"""What people ask of the coordinator beside releases: ceremonies, repairs, money from a local faucet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from m1cep.custody.frost.keys import PublicKeys
from m1cep.errors import CustodyError
from streams.custody import asks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from m1cep.custody.policy import Policy
    from streams.custody.chaindesk import ChainDesk
    from streams.custody.mail import Letter
    from streams.custody.owners import OwnerKeys
    from streams.custody.roster import Roster
    from streams.custody.watches import Watches

_MOST_ASKS = 1_000  # ids that are remembered


class AskDesk:
    """Carries each ask out once, and gives the same answer to the same id.

    Args:
        roster: who is who.
        desk: the chains.
        watches: the ceremonies.
        note: writes into the audit log.
    """

    def __init__(
        self, roster: Roster, desk: ChainDesk, watches: Watches, note: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self._roster, self._desk, self._watches, self._note = roster, desk, watches, note
        self._answered: dict[str, asks.Answered] = {}

    def hear(
        self, letter: Letter, policy: Policy, publics: Mapping[str, PublicKeys | OwnerKeys], now_ms: int
    ) -> tuple[str, asks.Answered]:
        """An ask; the vault that it is about, and the answer.

        Raises:
            CustodyError: it is none, or of nobody who may ask.
        """
        ask = asks.parse_ask(letter.body)
        if letter.sender not in policy.groups[policy.change.group]:
            raise CustodyError(f"{letter.sender} is not of group {policy.change.group}, who may ask for this")
        answer = self._answered.get(ask.id)
        if answer is None:
            self._note("heard", {"from": letter.sender, "message": msgspec.to_builtins(ask)})
            answer = self._answered[ask.id] = self._carry_out(ask, publics, now_ms)
            while len(self._answered) > _MOST_ASKS:
                del self._answered[next(iter(self._answered))]
        return ask.vault, answer

    def _carry_out(self, ask: asks.Ask, publics: Mapping[str, PublicKeys | OwnerKeys], now_ms: int) -> asks.Answered:
        try:
            self._roster.shared(ask.vault)
            if isinstance(ask, asks.AskCeremony):
                known = publics.get(ask.vault)
                self._watches.begin(ask, known if isinstance(known, PublicKeys) else None, now_ms)
                return asks.Answered(ask.id, True, f"the {ask.kind} of vault {ask.vault} begins")
            units = self._desk.fund(ask.vault, ask.amount)
        except CustodyError as error:
            return asks.Answered(ask.id, False, str(error)[:1_000])
        return asks.Answered(ask.id, True, f"{units} minor units are on their way to {self._desk.address(ask.vault)}")

    def snapshot(self) -> list[asks.Answered]:
        """The answers that are remembered."""
        return list(self._answered.values())

    def load(self, kept: Iterable[asks.Answered]) -> None:
        """As it was."""
        self._answered = {one.id: one for one in kept}
