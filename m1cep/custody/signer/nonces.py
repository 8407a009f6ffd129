"""Nonces: in memory only, one pair for each attempt of a request, gone before it is used. Attempt 0 is the vote's.

A pair that is used for two messages gives the key share away, so there is no way to read one without removing it, none to put a
second one in the place of the first, and none to write it down.
"""

from __future__ import annotations

from typing import Any, NoReturn

from m1cep.errors import CustodyError


class NonceBox:
    """The nonces of attempts under way; of each request those of its newest attempt."""

    def __init__(self) -> None:
        self._pairs: dict[str, tuple[int, Any]] = {}

    def put(self, request_id: str, attempt: int, pair: Any) -> None:
        """Keep the pair of a new attempt; that of an earlier one is dropped.

        Raises:
            CustodyError: there is one for this attempt or a later one.
        """
        newest, _ = self._pairs.get(request_id, (-1, None))
        if attempt <= newest:
            raise CustodyError(f"request {request_id}: there are nonces for attempt {newest}, got some for {attempt}")
        self._pairs[request_id] = (attempt, pair)

    def take(self, request_id: str, attempt: int) -> Any | None:
        """The pair of this attempt, once; None where there is none."""
        newest, pair = self._pairs.get(request_id, (-1, None))
        if newest != attempt:
            return None
        del self._pairs[request_id]
        return pair

    def drop(self, request_id: str) -> None:
        """Forget what there is."""
        self._pairs.pop(request_id, None)

    def has(self, request_id: str, attempt: int) -> bool:
        """Whether the pair of this attempt is still here."""
        return self._pairs.get(request_id, (-1, None))[0] == attempt

    def __repr__(self) -> str:
        return f"NonceBox({len(self._pairs)} pairs)"

    def __reduce__(self) -> NoReturn:
        raise CustodyError("nonces are not written down: after a restart an attempt under way is given up")
