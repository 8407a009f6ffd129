"""Break-glass: the whole key from shares (RFC 9591, appendix C.1). Offline, once; move the funds away afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.custody.frost.errors import EpochError, SharesError, SignersError
from m1cep.custody.frost.hidden import Secret
from m1cep.custody.frost.sharing import derive_interpolating_value, distinct, sum_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.custody.frost.keys import KeyShare


def secret_share_combine(shares: Sequence[KeyShare]) -> Secret:
    """The whole key. Who holds it holds the assets alone: what the shares were for has ended.

    Of a taproot key whose group key has odd y it is the negation that BIP340 signs with; libraries negate it themselves.

    Raises:
        SignersError: too few, repeated or unknown signers.
        EpochError: shares of different epochs.
        SharesError: a share does not fit its public key, or they are of different keys.
    """
    if not shares:
        raise SignersError("no shares came; give at least as many as the key's threshold")
    public = shares[0].public
    for share in shares:
        if share.public.epoch != public.epoch:
            raise EpochError(f"the share of signer {share.identifier}", expected=public.epoch, came=share.public.epoch)
        if share.public != public:
            raise SharesError(
                f"the shares of signers {shares[0].identifier} and {share.identifier} are of different keys"
            )
        share.check()
    identifiers = distinct(share.identifier for share in shares)
    if len(identifiers) < public.threshold:
        raise SignersError(f"{len(identifiers)} shares are too few; this key needs {public.threshold}")
    suite = public.suite
    key = sum_of(
        suite,
        (
            suite.scalar_mul(derive_interpolating_value(suite, identifiers, share.identifier), share.secret.reveal())
            for share in shares
        ),
    )
    if suite.base_mul(key) != public.group:
        raise SharesError("the shares do not give the group's key: the public keys do not belong together")
    return Secret(key)
