"""What is said in a ceremony: letters about ``ceremony``.

    coordinator ── Start ──▶ everybody                         the terms; again until all have answered
    signers ── Enclosed(ROUND_ONE) ──▶ everybody
    signers ── Enclosed(SEALED_SHARE) ──▶ one signer's own topic
    signers ── Enclosed(CONFIRMATION) ──▶ everybody
    signers ── Failed ──▶ coordinator                          why this signer takes no further part

    coordinator ── RepairStart ──▶ everybody                   a lost share, restored by others (``repairing``)
    helpers, loser ── Enclosed(BOX_KEY), helpers ── Enclosed(REPAIR_SPLIT) ──▶ everybody
    helpers ── Enclosed(REPAIR_PART) ──▶ helpers, Enclosed(REPAIR_SUM) ──▶ loser, each on its own topic
    loser ── RepairDone ──▶ coordinator

What is enclosed is an envelope of ``frost.envelope``, signed by itself: the letter around it only says who brings it.
All public letters of a vault's ceremonies have the vault as their key, so that everybody reads them in one order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from m1cep.custody.canonical import digest
from m1cep.custody.frost import ED25519
from m1cep.custody.frost.keys import PublicKeys
from m1cep.custody.frost.terms import Terms, new_key, reshare

# msgspec reads the annotations when it decodes, so these are needed while it runs.
from m1cep.custody.request import Millis, Name  # noqa: TC001
from m1cep.errors import CustodyError
from streams.custody.derive import chain_of, suite_of
from streams.custody.roster import Vault

if TYPE_CHECKING:
    from m1cep.custody.frost.suite import Suite
    from streams.custody.roster import Roster

ABOUT = "ceremony"
MOST_BYTES = 32 * 1024  # 255 signers need a third of it

CeremonyName: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=255)]


class OtherRosterError(CustodyError):
    """A ceremony that began under another roster than the present one cannot go on."""


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=True):
    ceremony: CeremonyName


class Start(_Words, frozen=True):
    """The terms of a ceremony.

    Attributes:
        vault: whose key it is about; chain, and with it the suite, are the roster's.
        threshold: how many will sign.
        receivers: who will hold a share, ascending.
        dealers: who deals, ascending; of a new key all.
        expires_ms: nobody goes on after it who has not confirmed.
        previous: ``PublicKeys.encode`` of the key until now; empty: a new key.
    """

    vault: Name
    threshold: _Number
    receivers: tuple[_Number, ...]
    dealers: tuple[_Number, ...]
    expires_ms: Millis
    previous: bytes = b""


class RepairStart(_Words, frozen=True):
    """The terms of a repair: one signer gets its share again from others.

    Attributes:
        ceremony: digest of all else, so that whoever signs its name has seen the same terms: see :func:`repair_name`.
        vault: which key.
        lost: who gets its share.
        helpers: whose shares it comes from, ascending.
        expires_ms: nobody goes on after it.
        public: ``PublicKeys.encode`` of the key.
        salt: makes the name one of its own.
    """

    vault: Name
    lost: _Number
    helpers: tuple[_Number, ...]
    expires_ms: Millis
    public: bytes
    salt: CeremonyName


class RepairDone(_Words, frozen=True):
    """The loser has its share."""


class Enclosed(_Words, frozen=True):
    """A signer's message to others.

    Attributes:
        envelope: as ``Envelope.seal`` gives it.
        waits: the sender waits for something: whoever has said his part says it again.
    """

    envelope: Annotated[bytes, msgspec.Meta(max_length=16 * 1024)]
    waits: bool = False


class Failed(_Words, frozen=True):
    """A signer cannot go on, and why; repeat the ceremony under another name."""

    reason: Annotated[str, msgspec.Meta(max_length=1_000)]


Words: TypeAlias = Start | RepairStart | RepairDone | Enclosed | Failed

_decoder: msgspec.json.Decoder[Words] = msgspec.json.Decoder(Words)


def encode(words: Words) -> str:
    """The body of a letter."""
    return msgspec.json.encode(words).decode()


def decode(body: str) -> Words:
    """From the body of a letter.

    Raises:
        CustodyError: it is not of that form.
    """
    if len(body) > MOST_BYTES:
        raise CustodyError(f"expected words of a ceremony of at most {MOST_BYTES} bytes, got {len(body)}")
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CustodyError(f"expected words of a ceremony: {error}") from None


def suite_for(roster: Roster, vault: str) -> Suite:
    """The suite of a vault's key.

    Raises:
        CustodyError: there is no such vault, or its chain is none.
    """
    found = roster.shared(vault)
    return suite_of(chain_of(found.chain)) if isinstance(found, Vault) else ED25519


def check_start(start: Start, roster: Roster) -> None:
    """That a ceremony gives the vault the members that the roster says. Later the roster may say others.

    Raises:
        CustodyError: it does not.
    """
    suite_for(roster, start.vault)
    vault = roster.shared(start.vault)
    if (start.threshold, start.receivers) != (vault.threshold, tuple(sorted(vault.signers))):
        raise CustodyError(
            f"the roster says of vault {start.vault}: {vault.threshold} of signers {_list(vault.signers)}; the ceremony is for "
            f"{start.threshold} of signers {_list(start.receivers)}"
        )


def terms_of(start: Start, roster: Roster) -> Terms:
    """The terms, with the keys that the roster has of those who take part.

    Raises:
        CustodyError: they cannot be, or somebody is not in the roster.
    """
    suite = suite_for(roster, start.vault)
    if unknown := {*start.dealers, *start.receivers} - roster.signers.keys():
        raise CustodyError(f"the roster has no signers {_list(unknown)}, who would take part")
    name = bytes.fromhex(start.ceremony)
    keys = {number: roster.signers[number] for number in {*start.receivers, *start.dealers}}
    if start.previous:
        previous = PublicKeys.decode(suite, start.previous)
        return reshare(previous, name, start.threshold, start.receivers, start.dealers, keys)
    if start.dealers != start.receivers:
        raise CustodyError("of a new key all who receive must deal")
    return new_key(suite, name, start.threshold, keys)


def repair_name(start: RepairStart) -> str:
    """What a repair with these terms is called."""
    plain = msgspec.to_builtins(start)
    return digest("repair", {field: plain[field] for field in sorted(plain) if field not in {"ceremony", "type"}})


def _list(signers: object) -> str:
    return ", ".join(map(str, sorted(signers)))  # type: ignore[call-overload]
