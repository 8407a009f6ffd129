"""The group's cryptography without a secret: whether what signers say can be theirs, and the signatures that come of it.

A transaction may need several signatures (Bitcoin: one for each coin): commitments, shares and signatures of all of them travel
in one byte string, see ``m1cep.custody.frost.several``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.custody.chains.interface import Scheme
from m1cep.custody.frost import several
from m1cep.custody.frost.signing import Commitment, SignatureShare, aggregate, verify_signature_share
from m1cep.errors import CustodyError, M1cepError
from streams.custody.derive import derive, signing_public
from streams.custody.owners import NOTHING, OwnerKeys, apart, signed_by, together

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.chains.interface import Unsigned
    from m1cep.custody.frost.keys import PublicKeys
    from m1cep.custody.frost.suite import Suite
    from m1cep.custody.request import Request
    from streams.custody.roster import Vault

_MOST_DERIVED = 64


def commitments_of(suite: Suite, said: Mapping[int, bytes], count: int) -> list[list[Commitment]]:
    """What signers committed to, by message, as ``frost.signing`` takes it.

    Raises:
        CustodyError: bytes that are no commitments to so many messages, or of another signer than who said them.
    """
    by_signer = []
    for signer, data in said.items():
        parts = several.split(f"the commitment of signer {signer}", data, count)
        found = [Commitment.decode(suite, part) for part in parts]
        if any(one.identifier != signer for one in found):
            raise CustodyError(f"signer {signer} commits in another signer's name")
        by_signer.append(found)
    return [list(of_message) for of_message in zip(*by_signer, strict=True)]


def signatures_of(signature: bytes, unsigned: Unsigned) -> list[bytes]:
    """What ``Chain.attach`` takes, of what ``GroupCrypto.aggregate`` gave.

    Raises:
        CustodyError: it is not that, or has not a signature for everything that is to be signed.
    """
    if unsigned.to_sign[0].scheme is Scheme.ECDSA:
        return apart(signature)
    return several.split("the signature", signature, len(unsigned.to_sign))


class GroupCrypto:
    """What the coordinator knows of its vaults' keys (``m1cep.custody.requests.state.Group``).

    Args:
        vaults: of the roster.
        publics: the public keys, by vault.
    """

    def __init__(self, vaults: Mapping[str, Vault], publics: Mapping[str, PublicKeys]) -> None:
        self._vaults = vaults
        self._publics: dict[str, PublicKeys | OwnerKeys] = {}
        self._signing: dict[str, PublicKeys | OwnerKeys] = {}
        self._derived: dict[tuple[str, bytes], Unsigned] = {}
        for vault, public in publics.items():
            self.set_public(vault, public)

    def set_public(self, vault: str, public: PublicKeys | OwnerKeys) -> None:
        """Go on with a new key, or another epoch of one."""
        signing = public if isinstance(public, OwnerKeys) else signing_public(public)
        self._publics[vault], self._signing[vault] = public, signing
        self._derived.clear()

    def public(self, vault: str) -> PublicKeys | OwnerKeys:
        """The public keys as the ceremony gave them; ``group`` is what ``Chain`` and ``Node`` take as the vault's key.

        Raises:
            CustodyError: there was no ceremony for this vault.
        """
        try:
            return self._publics[vault]
        except KeyError:
            raise CustodyError(f"vault {vault} has no key yet: generate one (m1cep custody keygen)") from None

    def unsigned(self, request: Request, plan: bytes) -> Unsigned:
        """The transaction, as every signer derives it.

        Raises:
            CustodyError: as ``derive.derive``.
        """
        key = (request.digest(), plan)
        found = self._derived.get(key)
        if found is None:
            found = derive(self._vaults, self.public(request.vault).group, request, plan)
            while len(self._derived) >= _MOST_DERIVED:
                del self._derived[next(iter(self._derived))]
            self._derived[key] = found
        return found

    # -- Group

    def commitment_is_valid(self, request: Request, epoch: int, plan: bytes, signer: int, commitment: bytes) -> bool:
        """Whether it can be this signer's."""
        try:
            public, messages = self._of(request, epoch, plan)
            if isinstance(public, OwnerKeys):
                return signer in public.shares and commitment == NOTHING
            made = commitments_of(public.suite, {signer: commitment}, len(messages))
        except M1cepError:
            return False
        return signer in public.shares and all(one.epoch == epoch for (one,) in made)

    def prepared(self, request: Request, epoch: int, plan: bytes, signer: int, commitment: bytes) -> bytes | None:
        """What of the commitment of a signer's vote serves this transaction; None: it does not."""
        try:
            _, messages = self._of(request, epoch, plan)
            part = several.first("the commitment of the vote", commitment, len(messages))
        except M1cepError:
            return None
        return part if self.commitment_is_valid(request, epoch, plan, signer, part) else None

    def share_is_valid(
        self, request: Request, epoch: int, plan: bytes, commitments: Mapping[int, bytes], signer: int, share: bytes
    ) -> bool:
        """Whether it is this signer's share of every signature of the transaction."""
        try:
            public, messages = self._of(request, epoch, plan)
            if isinstance(public, OwnerKeys):
                return signed_by(public, signer, messages, share)
            made = commitments_of(public.suite, commitments, len(messages))
            shares = _shares(public.suite, share, len(messages))
            return all(one.identifier == signer for one in shares) and all(
                verify_signature_share(public, *each) for each in zip(shares, messages, made, strict=True)
            )
        except M1cepError:
            return False

    def aggregate(
        self, request: Request, epoch: int, plan: bytes, commitments: Mapping[int, bytes], shares: Mapping[int, bytes]
    ) -> bytes:
        """All signatures of the transaction, see ``signatures_of``.

        Raises:
            CustodyError: something of it is not valid.
        """
        public, messages = self._of(request, epoch, plan)
        if isinstance(public, OwnerKeys):
            return together(shares)
        made = commitments_of(public.suite, commitments, len(messages))
        of_signers = [_shares(public.suite, share, len(messages)) for share in shares.values()]
        parts = zip(messages, made, zip(*of_signers, strict=True), strict=True)
        return several.join([aggregate(public, message, said, answers) for message, said, answers in parts])

    def _of(self, request: Request, epoch: int, plan: bytes) -> tuple[PublicKeys | OwnerKeys, list[bytes]]:
        messages = [one.message for one in self.unsigned(request, plan).to_sign]
        public = self._signing[request.vault]
        if public.epoch != epoch:
            raise CustodyError(f"the key of vault {request.vault} is of epoch {public.epoch}, not {epoch}")
        return public, messages


def _shares(suite: Suite, data: bytes, count: int) -> list[SignatureShare]:
    return [SignatureShare.decode(suite, part) for part in several.split("the signature share", data, count)]
