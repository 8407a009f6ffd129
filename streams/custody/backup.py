"""A share as words on paper (SLIP-39), back from them, and the whole key from shares: for drills, and for when all else is lost.

Words give back *some* secret whatever the passphrase was, so a backup has a second part, which is no secret: a file with the
public keys, by which a wrong passphrase, or the words of another backup, are found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from m1cep.custody.frost.hidden import Secret
from m1cep.custody.frost.keys import KeyShare, PublicKeys
from m1cep.custody.frost.recovery import secret_share_combine
from m1cep.errors import CustodyError
from streams.custody.keyfile import SUITES
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.custody.frost.suite import Suite

FORMAT = "M1CEP share check 1"
_MOST_WORD_LISTS = 16


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup must fit. No secret is in it.

    Attributes:
        vault, signer: whose share it is.
        suite: by its name.
        public: ``PublicKeys.encode``, hexadecimal.
    """

    vault: str
    signer: int
    suite: str
    public: str
    format: str = FORMAT

    def encode(self) -> bytes:
        """A JSON object, on lines."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Check:
        """From ``encode``.

        Raises:
            CustodyError: it is not of that form.
        """
        try:
            found = msgspec.json.decode(data, type=cls)
            found.keys()
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, KeyError, CustodyError) as error:
            raise CustodyError(f"expected the check of a backup ({FORMAT}): {error}") from None
        if found.format != FORMAT:
            raise CustodyError(f"expected a check of format {FORMAT!r}, got {found.format!r:.40}")
        return found

    def keys(self) -> PublicKeys:
        """The public keys."""
        return PublicKeys.decode(self._suite(), bytes.fromhex(self.public))

    def share(self, secret: Secret) -> KeyShare:
        """The share with this secret, if it is the one.

        Raises:
            CustodyError: it is not.
        """
        suite, keys = self._suite(), self.keys()
        share = KeyShare(self.signer, Secret(suite.deserialize_scalar(secret.reveal())), keys)
        share.check()
        return share

    def _suite(self) -> Suite:
        return SUITES[self.suite]


class Backup(NamedTuple):
    """A share as words.

    Attributes:
        words: lists of 33 words; so many of them as was asked for give the share back.
        check: to be kept beside each of them.
    """

    words: list[str]
    check: Check


def back_up(vault: str, share: KeyShare, needed: int, lists: int, passphrase: str = "") -> Backup:
    """A share as lists of words, some of which give it back.

    Args:
        vault: which it is for.
        share: of the vault's key.
        needed: so many lists give the share back.
        lists: are made, 16 at most.
        passphrase: without which the words are worth nothing; printable ASCII.

    Raises:
        UsageError: these numbers, or this passphrase, cannot be; the package is missing.
    """
    try:
        import shamir_mnemonic as slip39
    except ModuleNotFoundError:
        raise _missing() from None
    if not 1 <= needed <= lists <= _MOST_WORD_LISTS or (needed == 1 and lists > 1):
        raise UsageError(f"{needed} of {lists} lists cannot be", "expected 1 of 1, or 2 of 3, up to 16 of 16")
    try:
        [words] = slip39.generate_mnemonics(1, [(needed, lists)], share.secret.reveal(), _ascii(passphrase))
    except (slip39.MnemonicError, ValueError):  # what it says may quote the passphrase
        raise UsageError("the passphrase of a backup must be printable ASCII") from None
    public = share.public
    check = Check(vault, share.identifier, public.suite.name, public.encode().hex())
    made = Backup(words, check)
    if bring_back(made.words[:needed], check, passphrase) != share:
        raise CustodyError("the words do not give the share back: this backup is worth nothing")
    return made


def bring_back(words: Sequence[str], check: Check, passphrase: str = "") -> KeyShare:
    """The share that lists of words hold.

    Raises:
        CustodyError: too few lists, a word that is none, another backup's, or another passphrase.
        UsageError: the package is missing.
    """
    try:
        import shamir_mnemonic as slip39
    except ModuleNotFoundError:
        raise _missing() from None
    try:
        secret = Secret(slip39.combine_mnemonics(words, _ascii(passphrase)))
    except slip39.MnemonicError as error:
        # Of a word that is none it says which: that is a secret as well.
        reason = "a word is none of SLIP-39's" if "word" in str(error).lower() else str(error)
        raise CustodyError(f"these lists of words give nothing: {reason}") from None
    try:
        return check.share(secret)
    except CustodyError:
        raise CustodyError(
            f"the words do not give the share of signer {check.signer}, vault {check.vault}: they are another backup's, or the "
            "passphrase is another one"
        ) from None


def whole_key(shares: Sequence[KeyShare]) -> Secret:
    """The key that was shared, see ``m1cep.custody.frost.recovery``. Nothing else in M1CEP ever has so many shares in one place.

    Raises:
        CustodyError: too few shares, or not of one key and epoch.
    """
    return secret_share_combine(shares)


def _ascii(passphrase: str) -> bytes:
    if not passphrase.isascii() or not (passphrase.isprintable()):
        raise UsageError("the passphrase of a backup must be printable ASCII")
    return passphrase.encode()


def _missing() -> UsageError:
    return UsageError("backups as words need shamir-mnemonic", "pip install 'm1cep[custody]'")
