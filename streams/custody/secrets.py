"""What a signer's process does with its shares: derives, commits, signs (``m1cep.custody.signer.Secrets``).

One transaction for one request, over attempts and restarts: the machine pins the digest of the messages that it gave a share for,
and on every chain here the messages cover all of the transaction (all coins, amounts and scripts; Solana's whole message; the
contract's number and deadline). So a second transaction has another digest and is refused. What the machine cannot know is what
was signed before this signer held a share, or before it lost its memory: such requests are refused here (``Held.since_ms``).
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from m1cep.custody.frost import TAPROOT, several
from m1cep.custody.frost.signing import commit, sign
from m1cep.custody.frost.taproot import tweak_share
from m1cep.errors import CustodyError
from streams.custody.derive import derive
from streams.custody.owners import NOTHING, owner_keys, sign_as_owner
from streams.custody.shares import commitments_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from m1cep.custody.frost.keys import KeyShare
    from m1cep.custody.frost.signing import Nonces
    from m1cep.custody.frost.suite import Random
    from m1cep.custody.request import Request
    from streams.custody.keyfile import Held, Keyfile
    from streams.custody.roster import Vault


_MOST_DERIVED = 64
#: Coins that a Bitcoin transfer usually spends, at most; of other chains a transaction has one signature.
_USUAL_COINS = 2


class KeyfileSecrets:
    """Works with the shares of a keyfile.

    Args:
        keyfile: of this signer.
        vaults: of the roster.
        random: source of nonces.
    """

    def __init__(self, keyfile: Keyfile, vaults: Mapping[str, Vault], random: Random = secrets.token_bytes) -> None:
        self._keyfile, self._vaults, self._random = keyfile, vaults, random
        self._derived: OrderedDict[tuple[Request, bytes, bytes], list[bytes]] = OrderedDict()
        self._signing: dict[str, tuple[KeyShare, KeyShare]] = {}
        #: What was asked for before this signer may have signed, as an owner, and forgotten.
        self.owner_since_ms = 0

    def derive(self, request: Request, plan: bytes) -> Sequence[bytes]:
        """The messages to sign."""
        group, since_ms = self._group(request.vault)
        if request.requested_ms < since_ms:
            raise CustodyError(
                "it was asked for before this signer held its share, or before that was restored: ask again under another id"
            )
        # Asked for again when the share is given: nothing but these decides what it is.
        key = (request, plan, group)
        if key not in self._derived:
            unsigned = derive(self._vaults, group, request, plan)
            self._derived[key] = [one.message for one in unsigned.to_sign]
            if len(self._derived) > _MOST_DERIVED:
                self._derived.popitem(last=False)
        return self._derived[key]

    def commit(self, vault: str, epoch: int, count: int) -> tuple[list[Nonces], bytes]:
        """Fresh nonces for each message; an owner of a Safe needs none."""
        if self._is_owner(vault):
            return [], NOTHING
        share = self._share(vault, epoch)
        made = [commit(share, self._random) for _ in range(count)]
        joined = several.join([said.encode(share.public.suite) for _, said in made])
        return [nonces for nonces, _ in made], joined

    def prepare(self, vault: str, epoch: int) -> tuple[list[Nonces], bytes]:
        """Fresh nonces for as many messages as a transfer usually has."""
        kind = self._vaults[vault].chain.partition(":")[0] if vault in self._vaults else ""
        return self.commit(vault, epoch, _USUAL_COINS if kind == "bitcoin" else 1)

    def part(self, commitment: bytes, count: int) -> bytes:
        """What of a commitment is for so many messages."""
        return several.first("the commitment of the vote", commitment, count)

    def sign(
        self,
        vault: str,
        epoch: int,
        nonces: Sequence[Nonces],
        messages: Sequence[bytes],
        commitments: Mapping[int, bytes],
    ) -> bytes:
        """The shares of the signatures of all messages; nonces that are too many are dropped."""
        if self._is_owner(vault):
            return sign_as_owner(self._keyfile.seed, vault, messages)
        share = self._share(vault, epoch)
        said = commitments_of(share.public.suite, commitments, len(messages))
        parts = zip(nonces[: len(messages)], messages, said, strict=True)
        answers = [sign(share, pair, message, of_message) for pair, message, of_message in parts]
        return several.join([answer.encode(share.public.suite) for answer in answers])

    def verify(self, public_key: str, message: bytes, signature: str) -> bool:
        """Whether a person's signature is by the key."""
        return verify_person(public_key, message, signature)

    def _is_owner(self, vault: str) -> bool:
        return vault in self._vaults and bool(self._vaults[vault].owners)

    def _group(self, vault: str) -> tuple[bytes, int]:
        """What the vault's address follows from, and since when this signer knows what it has signed."""
        if self._is_owner(vault):
            return owner_keys(self._vaults[vault]).group, self.owner_since_ms
        held = self._held(vault)
        return held.share.public.group, held.since_ms

    def _held(self, vault: str) -> Held:
        held = self._keyfile.held.get(vault)
        if held is None:
            raise CustodyError(f"signer {self._keyfile.number} holds no share of vault {vault}")
        return held

    def _share(self, vault: str, epoch: int) -> KeyShare:
        """The share that signs: of taproot keys the output key's."""
        share = self._held(vault).share
        if share.public.epoch != epoch:
            raise CustodyError(f"the share of vault {vault} is of epoch {share.public.epoch}, not {epoch}")
        known = self._signing.get(vault)
        if known is None or known[0] is not share:
            signing = tweak_share(share) if share.public.suite is TAPROOT else share
            known = self._signing[vault] = (share, signing)
        return known[1]


def verify_person(public_key: str, message: bytes, signature: str) -> bool:
    """Whether a person's Ed25519 signature (hexadecimal) is by the key (hexadecimal)."""
    try:
        VerifyKey(bytes.fromhex(public_key)).verify(message, bytes.fromhex(signature))
    except (BadSignatureError, ValueError):
        return False
    return True
