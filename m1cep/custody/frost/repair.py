"""A lost share, restored by others, who learn nothing of it (Stinson and Wei 2017; as in the Zcash Foundation's FROST).

The helpers, at least as many as the threshold, interpolate the lost share together. Each splits its term into random
parts, one for every helper (``split``); each adds up the parts it got (``add_parts``); the loser adds up those sums
(``combine``). Parts and sums travel sealed (``sealing``), in envelopes. Every split is published times the generator,
so that whoever sends something wrong is named. The epoch stays: after a theft, refresh instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m1cep.custody.frost.errors import EncodingError, MisbehaviourError, SharesError, SignersError
from m1cep.custody.frost.hidden import Secret
from m1cep.custody.frost.keys import KeyShare
from m1cep.custody.frost.sharing import derive_interpolating_value, distinct, sum_of
from m1cep.custody.frost.wire import Kind, Reader, header, u16

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.frost.keys import PublicKeys
    from m1cep.custody.frost.suite import Element, Random, Scalar, Suite


@dataclass(frozen=True, slots=True)
class Repair:
    """What is repaired, and by whom.

    Attributes:
        public: the key's public keys; the loser must have them from somebody it trusts, and compares the group's.
        helpers: identifiers, ascending.
        lost: identifier of the signer whose share is lost.

    Raises:
        SignersError: too few helpers, unknown ones, or the loser among them.
    """

    public: PublicKeys
    helpers: tuple[int, ...]
    lost: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "helpers", distinct(self.helpers, "helpers"))
        if unknown := [one for one in (*self.helpers, self.lost) if one not in self.public.shares]:
            raise SignersError(f"the key has no signers {unknown}; it has {', '.join(map(str, self.public.shares))}")
        if self.lost in self.helpers:
            raise SignersError(f"signer {self.lost} cannot help to restore its own share")
        if len(self.helpers) < self.public.threshold:
            raise SignersError(f"{len(self.helpers)} helpers are too few; this key needs {self.public.threshold}")

    def weight(self, helper: int) -> Scalar:
        """By what a helper's share is multiplied to interpolate the lost one."""
        return derive_interpolating_value(self.public.suite, self.helpers, helper, at=self.lost)


@dataclass(frozen=True, slots=True)
class Split:
    """What a helper publishes: its parts times the generator, in the order of the helpers."""

    identifier: int
    commitments: tuple[Element, ...]

    def encode(self, suite: Suite) -> bytes:
        """One encoding."""
        head = header(Kind.REPAIR_SPLIT, suite) + u16(self.identifier) + u16(len(self.commitments))
        return head + b"".join(self.commitments)

    @classmethod
    def decode(cls, suite: Suite, data: bytes) -> Split:
        """From ``encode``. Raises EncodingError."""
        reader = Reader("the split of a repair", data)
        reader.header(Kind.REPAIR_SPLIT, suite)
        split = cls(reader.identifier(), tuple(reader.element(suite) for _ in range(reader.count())))
        reader.end()
        return split


def split(repair: Repair, share: KeyShare, random: Random) -> tuple[Split, dict[int, Secret]]:
    """A helper's first step: what to publish, and a part for every helper, itself among them.

    Raises:
        SignersError: this signer is not among the helpers.
        SharesError: its share is of another key or epoch.
    """
    suite = repair.public.suite
    if share.public != repair.public:
        raise SharesError(
            f"to help, signer {share.identifier} needs its share of epoch {repair.public.epoch} of this key"
        )
    if share.identifier not in repair.helpers:
        raise SignersError(f"signer {share.identifier} is not among the helpers {list(repair.helpers)}")
    parts = [suite.random_scalar(random) for _ in repair.helpers[1:]]
    whole = suite.scalar_mul(share.secret.reveal(), repair.weight(share.identifier))
    parts.append(suite.scalar_add(whole, suite.scalar_negate(sum_of(suite, parts))))
    published = Split(share.identifier, tuple(suite.base_mul(part) for part in parts))
    return published, {helper: Secret(part) for helper, part in zip(repair.helpers, parts, strict=True)}


def check_splits(repair: Repair, splits: Mapping[int, Split]) -> None:
    """Whether every helper has split what it must, by sender.

    Raises:
        SignersError: somebody's is missing, or of somebody who does not help.
        MisbehaviourError: a split is not of the helper's share; who.
    """
    suite = repair.public.suite
    if set(splits) != set(repair.helpers):
        raise SignersError(f"the repair needs helpers {list(repair.helpers)}; it has {sorted(splits)}")
    for helper, published in splits.items():
        try:
            whole = suite.mul(repair.public.shares[helper], repair.weight(helper))
            fits = published.identifier == helper and len(published.commitments) == len(repair.helpers)
            fits = fits and suite.add(published.commitments) == whole
        except EncodingError:
            fits = False
        if not fits:
            raise MisbehaviourError("what is split for the repair is not the helper's share", [helper])


def add_parts(repair: Repair, helper: int, splits: Mapping[int, Split], parts: Mapping[int, Secret]) -> Secret:
    """A helper's second step: the sum, for the loser, of the parts that it got (by sender).

    Raises:
        SignersError, MisbehaviourError: as ``check_splits``; or a part is not what its sender published.
    """
    check_splits(repair, splits)
    place = repair.helpers.index(helper)
    expected = {sender: published.commitments[place] for sender, published in splits.items()}
    return _checked_sum(repair, expected, parts)


def combine(repair: Repair, splits: Mapping[int, Split], sums: Mapping[int, Secret]) -> KeyShare:
    """The loser's step: its share, from the helpers' sums (by sender).

    Raises:
        SignersError, MisbehaviourError: as ``check_splits``; or a sum is not that of what was published.
    """
    check_splits(repair, splits)
    suite = repair.public.suite
    expected = {}
    for place, helper in enumerate(repair.helpers):
        try:
            expected[helper] = suite.add([published.commitments[place] for published in splits.values()])
        except EncodingError:
            raise SharesError("the splits add up to the identity element; repeat the repair") from None
    share = KeyShare(repair.lost, _checked_sum(repair, expected, sums), repair.public)
    share.check()
    return share


def _checked_sum(repair: Repair, expected: Mapping[int, Element], parts: Mapping[int, Secret]) -> Secret:
    suite = repair.public.suite
    if set(parts) != set(expected):
        raise SignersError(f"the repair needs something of helpers {sorted(expected)}; it has {sorted(parts)}")
    if culprits := [sender for sender, part in parts.items() if not _fits(suite, part, expected[sender])]:
        raise MisbehaviourError("what was sent for the repair is not what was published", culprits)
    return Secret(sum_of(suite, (part.reveal() for part in parts.values())))


def _fits(suite: Suite, part: Secret, expected: Element) -> bool:
    try:
        return suite.base_mul(part.reveal()) == expected
    except EncodingError:
        return False
