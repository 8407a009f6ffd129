"""Values that must not be seen: not in a log, a traceback's repr, a pickle or a copy."""

from __future__ import annotations

from hmac import compare_digest
from typing import Never


class Hidden:
    """Base of what holds secrets. Python cannot wipe memory: what is dropped stays there until it is overwritten."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(hidden)"

    def __reduce_ex__(self, _protocol: object) -> Never:
        raise TypeError(f"{type(self).__name__} is not copied nor pickled")


class Secret(Hidden):
    """A secret scalar or seed. ``reveal`` is the one way to it, so that every use can be found."""

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]  # a hash would be a way to it

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The bytes."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and compare_digest(self._value, other._value)
