"""The coordinator's part in having a Safe's owners sign one message: one round, for each has a key of its own.

Used as ``m1cep.custody.heads.Signing`` is, which has a shared key sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.custody.heads.gathering import RESEND_MS
from m1cep.custody.heads.messages import HeadShare, HeadUnable
from streams.custody.owners import signed_by, together

if TYPE_CHECKING:
    from collections.abc import Callable

    from m1cep.custody.heads.messages import Answer, Asked
    from streams.custody.owners import OwnerKeys

#: For all that have not answered; who is asked again after that is asked by a person.
LAST_MS = 60_000


class OwnersSigning:
    """All owners are asked; the first of them, as many as the threshold, make the signature.

    Args:
        name: of the vault.
        message: 32 bytes, as every owner must make them.
        public: the owners.
        ask: gives the question of an attempt and those who are asked.
        attempt: a number greater than that of any attempt before.
        now_ms: epoch.
    """

    def __init__(
        self,
        name: str,
        message: bytes,
        public: OwnerKeys,
        ask: Callable[[int, tuple[int, ...]], Asked],
        *,
        attempt: int,
        now_ms: int,
    ) -> None:
        self._name, self._message, self._public, self._ask, self._attempt = name, message, public, ask, attempt
        self._until_ms, self._next_ms = now_ms + LAST_MS, now_ms
        self._shares: dict[int, bytes] = {}
        #: Owners that gave nothing or something wrong, and why.
        self.reasons: dict[int, str] = {}
        #: Their signatures in the order of their addresses, as the Safe's ``checkSignatures`` takes them; at the end.
        self.signature: bytes | None = None
        self.over = False

    def ask(self, now_ms: int) -> list[Asked]:
        """What is to be asked (again) now."""
        missing = tuple(sorted(self._public.shares.keys() - self._shares.keys() - self.reasons.keys()))
        if self.signature is not None or self.over or now_ms < self._next_ms:
            return []
        if now_ms >= self._until_ms:
            self.reasons |= dict.fromkeys(missing, "has not answered in time")
            self.over = True
            return []
        self._next_ms = now_ms + RESEND_MS
        return [self._ask(self._attempt, missing)]

    def hear(self, answer: Answer, _now_ms: int) -> None:
        """What an owner says; of another attempt it is nothing."""
        of_this = (answer.log, answer.attempt) == (self._name, self._attempt) and answer.signer in self._public.shares
        if self.signature is not None or self.over or not of_this:
            return
        match answer:
            case HeadUnable():
                self._without(answer.signer, answer.reason)
            case HeadShare() if signed_by(self._public, answer.signer, [self._message], answer.share):
                self._with(answer.signer, answer.share)
            case HeadShare():
                self._without(answer.signer, "its signature is not of this message")
            case _:
                return

    def _with(self, owner: int, share: bytes) -> None:
        self._shares[owner] = share
        self.reasons.pop(owner, None)
        if len(self._shares) >= self._public.threshold:
            ascending = sorted(self._shares, key=lambda one: int(self._public.shares[one], 16))
            self.signature = together({one: self._shares[one] for one in ascending})

    def _without(self, owner: int, reason: str) -> None:
        if owner not in self._shares:
            self.reasons[owner] = reason
            self.over = len(self._public.shares) - len(self.reasons) < self._public.threshold
