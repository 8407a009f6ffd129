"""Reserves, shown: a vault's key signs that it stands for one statement of what is owed (docs/liabilities.md). And the statement
itself, signed by the signers' own key, that of the audit log.

    person ── letter: statement, vault ──▶ coordinator ── the same letter ──▶ signers, each of which looks whose it is,
    makes the challenge for itself, and gives its share of the signature; of a Safe, its own as an owner

A key that releases money signs something else here. That is safe because what is signed is SHA-256 behind a tag of its own
(``verify_balance.challenge_digest``) of words that each signer puts together: the 32 bytes of no transaction's digest (a taproot
digest is SHA-256 behind another tag, an EVM vault's and a Safe's are Keccak), and no Solana message (which has at least 68
bytes). Nobody hands a signer 32 bytes: of a statement it gets all, and the message of a head of the audit log, which the same key
signs, is longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.custody.chains.interface import Scheme
from m1cep.custody.frost.taproot import output_key, tweak_share
from m1cep.custody.heads import Part
from m1cep.custody.heads.messages import AskHeadShare, AskReserve, HeadShare, HeadUnable, decode
from m1cep.custody.request import Digest, Millis, Name  # noqa: TC001 - msgspec reads the annotations
from m1cep.errors import CustodyError
from m1cep.ledger.liabilities.verify_balance import SAFE, Untrue, challenge_digest, check_statement, statement_digest
from streams.custody.derive import chain_of, signing_public
from streams.custody.mail import open_letter
from streams.custody.owners import OwnerKeys, owner_keys, sign_as_owner
from streams.custody.roster import AUDIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from m1cep.custody.frost.keys import KeyShare, PublicKeys
    from m1cep.custody.frost.suite import Random
    from m1cep.custody.heads.messages import Answer
    from m1cep.custody.policy import Policy
    from streams.custody.keyfile import Keyfile
    from streams.custody.roster import Vault

ABOUT = "reserve"
#: In the place of asset and address, and of the chain, where a statement itself is signed.
STATEMENT, LIABILITIES = "statement", "liabilities"
#: How far a statement's moment may be ahead of a signer's clock.
MOST_AHEAD_MS = 5_000


class ReserveAsk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=True):
    """What a person asks for.

    Attributes:
        id: given by whoever asks; said twice it counts once.
        statement: its digest.
        epoch_ms: its moment.
        asset: as the statement names what the vault has: ``BTC`` or ``bitcoin:mainnet/BTC``; ``statement`` for the statement
            itself, the vault is ``audit`` then.
        owed: the statement itself, where that is to be signed.
    """

    id: Name
    vault: Name
    asset: Name
    statement: Digest
    epoch_ms: Millis
    owed: dict[str, Any] | None = None


class Challenge(msgspec.Struct, frozen=True):
    """What is signed, and what it is verified by."""

    scheme: str
    chain: str
    address: str
    key: bytes
    message: bytes


class Newest(msgspec.Struct, frozen=True):
    """The newest statement for which a signer has begun to sign with a vault's key."""

    epoch_ms: Millis
    statement: Digest
    asset: Name


def parse_ask(text: str) -> ReserveAsk:
    """Raises CustodyError when it is none."""
    try:
        return msgspec.json.decode(text, type=ReserveAsk)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CustodyError(f"expected what a vault's reserve is to be shown for: {error}") from None


def encode_ask(ask: ReserveAsk) -> str:
    """The body of a letter about ``reserve``."""
    return msgspec.json.encode(ask, order="sorted").decode()


def asked_by(text: str, policy: Policy) -> ReserveAsk:
    """What a person's letter asks for.

    Raises:
        CustodyError: it is not signed by one of the people who may change the policy, or is about something else.
    """
    group = policy.groups[policy.change.group]
    people = {name: bytes.fromhex(key) for name, key in policy.people.items() if name in group}
    letter = open_letter(text.encode(), people)
    if letter.about != ABOUT:
        raise CustodyError(f"expected a letter about {ABOUT}, {letter.sender}'s is about {letter.about!r:.40}")
    return parse_ask(letter.body)


def challenge_of(vaults: Mapping[str, Vault], public: PublicKeys | OwnerKeys, ask: ReserveAsk) -> Challenge:
    """What a vault's key signs, or a Safe's owners: all but the statement and its moment follow from the roster and the key.

    Raises:
        CustodyError: there is no such vault, or its key is of another kind or another asset's.
    """
    if ask.vault == AUDIT:
        return _statement(public, ask)
    vault = vaults.get(ask.vault)
    if vault is None:
        raise CustodyError(f"there is no vault {ask.vault}; there are {', '.join(sorted(vaults)) or 'none'}")
    chain = chain_of(vault.chain)
    owned = isinstance(public, OwnerKeys)
    if owned != (chain.scheme is Scheme.ECDSA):
        raise CustodyError(
            f"vault {ask.vault} is on {chain.name}, and what is there is {'owners' if owned else 'a key'}"
        )
    names = (chain.asset.symbol, f"{chain.name}/{chain.asset.symbol}")
    if ask.asset not in names:
        raise CustodyError(f"vault {ask.vault} has {' or '.join(names)}, asked for was {ask.asset}")
    key = public.group
    if not isinstance(public, OwnerKeys) and chain.scheme is Scheme.BIP340:
        key = output_key(signing_public(public))
    address = chain.address(public.group)
    message = challenge_digest(bytes.fromhex(ask.statement), ask.epoch_ms, chain.name, ask.asset, address)
    return Challenge(SAFE if owned else str(chain.scheme), chain.name, address, key, message)


def _statement(public: PublicKeys | OwnerKeys, ask: ReserveAsk) -> Challenge:
    """The statement itself, as every verifier reads it."""
    statement = ask.owed or {}
    try:
        check_statement(statement)
        digest = statement_digest(statement)
    except (Untrue, ValueError, RecursionError) as reason:
        raise CustodyError(f"expected a statement of what is owed: {reason}") from None
    named = (ask.statement, ask.epoch_ms, ask.asset)
    if named != (digest.hex(), statement["epoch_ms"], STATEMENT):
        raise CustodyError(
            f"the statement is {digest.hex()} of {statement['epoch_ms']} ms, asked for was {ask.statement}"
        )
    return Challenge("ed25519", LIABILITIES, STATEMENT, public.group, digest)


class ReserveSigner:
    """A signer's part.

    Args:
        keyfile: of this signer; asked for a share each time it is needed, for it may be another one.
        vaults: of the roster.
        random: source of nonces.
        owner_since_ms: since when this signer knows what it has signed as an owner of Safes.
    """

    def __init__(
        self, keyfile: Keyfile, vaults: Mapping[str, Vault], random: Random, owner_since_ms: Callable[[], int]
    ) -> None:
        self._keyfile, self._vaults, self._random = keyfile, vaults, random
        self._owner_since_ms = owner_since_ms
        #: By vault. It survives restarts: of one moment a vault's key stands for one statement.
        self.newest: dict[str, Newest] = {}
        self._parts: dict[str, Part] = {}

    def hear(self, text: str, policy: Policy, now_ms: int) -> list[Answer]:
        """What the coordinator asks; what this signer says to it.

        Raises:
            CustodyError: it is no question about a reserve.
        """
        asked = decode(text)
        if not isinstance(asked, AskReserve | AskHeadShare):
            raise CustodyError(f"the coordinator is nobody from whom a {type(asked).__name__} is expected")
        if asked.log not in self._vaults and asked.log != AUDIT:
            raise CustodyError(f"there is no vault {asked.log:.80}")
        part = self._parts.setdefault(asked.log, Part(asked.log, self._keyfile.number, self._random))
        if isinstance(asked, AskHeadShare):
            return part.give(asked, self._share(asked.log))
        if self._keyfile.number not in asked.signers:
            return []
        if asked.log in self._vaults and self._vaults[asked.log].owners:
            return [self._give_as_owner(asked, policy, now_ms)]
        again = part.again(asked)
        if again is not None:
            return again
        try:
            return [self._commit(asked, part, policy, now_ms)]
        except CustodyError as error:
            return [part.unable(asked.attempt, str(error))]

    def _give_as_owner(self, asked: AskReserve, policy: Policy, now_ms: int) -> Answer:
        """An owner's signature is whole by itself; asked again, it is the same."""
        about, keyfile = (asked.log, asked.attempt, self._keyfile.number), self._keyfile
        try:
            ask = self._opened(asked, policy)
            self._check_moment(ask, self._owner_since_ms(), now_ms)
            challenge = challenge_of(self._vaults, owner_keys(self._vaults[ask.vault]), ask)
        except CustodyError as error:
            return HeadUnable(*about, str(error)[:1_000])
        self.newest[ask.vault] = Newest(ask.epoch_ms, ask.statement, ask.asset)
        return HeadShare(*about, sign_as_owner(keyfile.seed, ask.vault, [challenge.message]))

    def _opened(self, asked: AskReserve, policy: Policy) -> ReserveAsk:
        ask = asked_by(asked.letter, policy)
        if ask.vault != asked.log:
            raise CustodyError(f"the letter is about vault {ask.vault}, not {asked.log}")
        return ask

    def _commit(self, asked: AskReserve, part: Part, policy: Policy, now_ms: int) -> Answer:
        ask = self._opened(asked, policy)
        share, held = self._share(ask.vault), self._keyfile.held.get(ask.vault)
        if share is None or held is None:
            raise CustodyError(f"signer {self._keyfile.number} holds no share of vault {ask.vault}")
        if reason := part.not_of_key(asked, share):
            raise CustodyError(reason)
        self._check_moment(ask, held.since_ms, now_ms)
        challenge = challenge_of(self._vaults, held.share.public, ask)
        self.newest[ask.vault] = Newest(ask.epoch_ms, ask.statement, ask.asset)
        return part.commit(asked, share, challenge.message)

    def _check_moment(self, ask: ReserveAsk, since_ms: int, now_ms: int) -> None:
        if ask.epoch_ms > now_ms + MOST_AHEAD_MS:
            raise CustodyError(f"the statement is of {ask.epoch_ms} ms, and it is {now_ms} ms: nothing is signed ahead")
        if ask.epoch_ms < since_ms + MOST_AHEAD_MS:
            raise CustodyError(
                "the statement is of before this signer held its share, or lost its memory: "
                f"expected one of after {since_ms + MOST_AHEAD_MS} ms, got one of {ask.epoch_ms} ms"
            )
        newest = self.newest.get(ask.vault)
        if newest is None or ask.epoch_ms > newest.epoch_ms:
            return
        if Newest(ask.epoch_ms, ask.statement, ask.asset) != newest:  # under two names it would count twice
            raise CustodyError(
                f"the key of vault {ask.vault} stands "
                f"for {newest.asset} of statement {newest.statement} of {newest.epoch_ms} ms: "
                "expected that one or a later moment's"
            )

    def _share(self, vault: str) -> KeyShare | None:
        """That signs: of taproot keys the output key's."""
        held = self._keyfile.held.get(vault)
        if held is not None and vault == AUDIT:
            return held.share
        if held is None or vault not in self._vaults:
            return None
        bip340 = chain_of(self._vaults[vault].chain).scheme is Scheme.BIP340
        return tweak_share(held.share) if bip340 else held.share
