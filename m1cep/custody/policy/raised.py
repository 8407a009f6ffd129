"""Alerts and holds of accounts, each in some thirty bytes: nobody has to close them, so there may be very many.

By account a pile of records ``[id, kind, time]``, in MessagePack and nothing around them: a signer's state is saved with every
vote. A pile is taken apart when its account is asked for. What is over lies in it too, until it is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from m1cep.errors import CustodyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_HEAD_BYTES = 5  # of an array in MessagePack, of whatever length
_ID_DIGITS = 32  # of the ids that rules give
_HEX, _TEXT = b"h", b"t"
_decode = msgspec.msgpack.Decoder(list[tuple[bytes, int, int]]).decode
_encode = msgspec.msgpack.Encoder().encode


class One(NamedTuple):
    """A thing that was raised.

    Attributes:
        name: its id.
        kind: what it has in common with many others, in two words; the first has no white space.
        time_ms: epoch.
    """

    name: str
    kind: tuple[str, str]
    time_ms: int


class Raised(msgspec.Struct):
    """What was raised against accounts.

        raised = Raised()
        raised.put("alice", One("a1", ("spoofing", "high"), 1_000))
        list(raised.of("alice"))

    Attributes:
        kinds: their numbers.
        piles: by account.
    """

    kinds: dict[str, int] = {}
    piles: dict[str, bytes] = {}

    def put(self, account: str, one: One) -> None:
        """Remember it, once. Of different ones with one id all are kept: a later one must not hide a graver one."""
        pile, record = self.piles.get(account, _head(0)), self._record(one)
        if record in pile and one in _in(pile, self._words()):
            return
        count = int.from_bytes(pile[1:_HEAD_BYTES], "big")
        self.piles[account] = _head(count + 1) + pile[_HEAD_BYTES:] + record

    def of(self, account: str) -> Iterator[One]:
        """Those of an account."""
        pile = self.piles.get(account)
        return iter(()) if pile is None else _in(pile, self._words())

    def all(self) -> Iterator[tuple[str, One]]:
        """Those of every account, with it. That takes time."""
        words = self._words()
        for account, pile in self.piles.items():
            for one in _in(pile, words):
                yield account, one

    def keep(self, wanted: Callable[[str], bool]) -> None:
        """Drop all others.

        Args:
            wanted: says it of an id.
        """
        words = self._words()
        for account, pile in list(self.piles.items()):
            found = list(_in(pile, words))
            kept = [one for one in found if wanted(one.name)]
            if not kept:
                del self.piles[account]
            elif len(kept) < len(found):
                self.piles[account] = _head(len(kept)) + b"".join(map(self._record, kept))

    def check(self) -> None:
        """Look at every record.

        Raises:
            CustodyError: one is none.
        """
        words = self._words()
        for account, pile in self.piles.items():
            try:
                for _ in _in(pile, words):
                    pass
            except (msgspec.MsgspecError, KeyError, UnicodeDecodeError) as error:
                raise CustodyError(f"expected a snapshot of facts; what was raised on {account}: {error!r}") from None

    def _words(self) -> dict[int, tuple[str, str]]:
        return {number: (kind.partition(" ")[0], kind.partition(" ")[2]) for kind, number in self.kinds.items()}

    def _record(self, one: One) -> bytes:
        number = self.kinds.setdefault(" ".join(one.kind), len(self.kinds))  # the first word has no space
        return _encode((_key(one.name), number, one.time_ms))


def _in(pile: bytes, words: Mapping[int, tuple[str, str]]) -> Iterator[One]:
    for key, kind, time_ms in _decode(pile):
        yield One(_name(key), words[kind], time_ms)


def _key(name: str) -> bytes:
    """An id as rules give it is half as long as its text."""
    if len(name) == _ID_DIGITS:
        try:
            key = bytes.fromhex(name)
        except ValueError:
            return _TEXT + name.encode()
        if key.hex() == name:
            return _HEX + key
    return _TEXT + name.encode()


def _name(key: bytes) -> str:
    return key[1:].hex() if key[:1] == _HEX else key[1:].decode()


def _head(count: int) -> bytes:
    return b"\xdd" + count.to_bytes(_HEAD_BYTES - 1, "big")
