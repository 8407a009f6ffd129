"""Statements of what is owed, on disk: made from balances, signed, and the proofs that each customer asks for.

<home>/ledger/liabilities.secret     32 bytes, 0600: who has it can tell whose every leaf is
<home>/ledger/liabilities.key        seed of an Ed25519 key, 0600; for platforms whose group does not sign
<home>/ledger/last-statement         digest and moment of the newest statement
<home>/ledger/next-statement         the same of one that is about to take its name, and what that is
<published>/statement.json, ASSET.leaves, verify_balance.py
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from m1cep.ledger import Chart
from m1cep.ledger.liabilities import (
    Secret,
    Sheet,
    Signer,
    Tree,
    customer_proof,
    make_sheet,
    signed_document,
    statement_of,
    verify_balance,
)
from m1cep.ledger.liabilities.verify_balance import Untrue, check_signed, statement_digest
from streams.durable import create, private_folder, replace, sync_folder
from streams.errors import ServerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

STATEMENT = "statement.json"
_MOST_FILE_NAME = 255
VERIFIER = "verify_balance.py"
_SECRET, _KEY = "liabilities.secret", "liabilities.key"
_LAST, _NEXT, _LOCK = "last-statement", "next-statement", "statements.lock"


@dataclass(frozen=True)
class Owed:
    """What is owed in one asset.

    Attributes:
        decimals: of the asset.
        units: by customer, none below zero.
        below_zero: how many customers owe us: their debts are not taken off what others are owed.
    """

    decimals: int
    units: Mapping[str, int]
    below_zero: int = 0


def owed_by_asset(balances: Iterable[tuple[str, str, int, int]]) -> dict[str, Owed]:
    """Balances (customer, asset, units, decimals) by asset; those below zero are counted and left out.

    Raises:
        UsageError: a customer has two balances of an asset, or an asset two numbers of decimals: no total would be right.
        LedgerError: an asset's name is none.
    """
    units: dict[str, dict[str, int]] = {}
    decimals: dict[str, int] = {}
    for user, asset, amount, places in balances:
        if asset not in decimals:
            _check_asset(asset, places)
        if decimals.setdefault(asset, places) != places:
            raise UsageError(f"{asset} has {decimals[asset]} decimals, and of {user[:80]!r} it has {places}")
        of_asset = units.setdefault(asset, {})
        if user in of_asset:
            raise UsageError(f"{user[:80]!r} has two balances of {asset}: give one, of all that is owed")
        of_asset[user] = amount
    return {
        asset: Owed(
            decimals[asset],
            {user: amount for user, amount in of_asset.items() if amount >= 0},
            sum(amount < 0 for amount in of_asset.values()),
        )
        for asset, of_asset in sorted(units.items())
    }


def _check_asset(asset: str, decimals: int) -> None:
    Chart({asset: decimals})
    if len(leaves_name(asset)) > _MOST_FILE_NAME:
        raise UsageError(f"the name of the asset {asset[:40]!r}... is too long for the name of a file")


def publish(
    home: Path,
    folder: Path,
    epoch_ms: int,
    owed: Mapping[str, Owed],
    *,
    sign: bool = True,
    progress: Callable[[float, str], None] | None = None,
) -> dict[str, Any]:
    """Make the statement of a moment, and all that goes with it, in a folder of its own.

    Args:
        home: for what is kept (``<home>/ledger``).
        folder: to be published; must not be there yet.
        epoch_ms: the moment of the balances, after that of the statement before.
        owed: by asset.
        sign: with a key of our own; otherwise :func:`attach` a group's signature later.
        progress: told how many assets are done, and which is next.

    Returns:
        The statement with its signature (``{"statement": ..., "signature": ...}``), without one if it was not signed.

    Raises:
        UsageError: the folder is there, or the moment is not after the last one, or another statement is being made.
        LedgerError: a balance that cannot be proven.
    """
    with _alone(home):
        return _publish(home, folder, epoch_ms, owed, sign=sign, progress=progress)


def _publish(
    home: Path,
    folder: Path,
    epoch_ms: int,
    owed: Mapping[str, Owed],
    *,
    sign: bool,
    progress: Callable[[float, str], None] | None,
) -> dict[str, Any]:
    if folder.exists():
        raise UsageError(f"{folder} is there already", "give a folder that is not: a statement is never changed")
    previous, last_ms = _last(home)
    if epoch_ms <= last_ms:
        raise UsageError(f"the last statement is of {last_ms} ms, and this one of {epoch_ms} ms", "is the clock right?")
    secret, trees = kept_secret(home), {}
    half = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    for number, (asset, part) in enumerate(owed.items()):
        if progress is not None:
            progress(number, f"proving {asset}")
        sheet = make_sheet(secret, epoch_ms, asset, part.units.items())
        trees[asset] = Tree(sheet)
        (half / leaves_name(asset)).write_bytes(sheet.encode())
    statement = statement_of(epoch_ms, trees, {asset: part.decimals for asset, part in owed.items()}, previous)
    document = signed_document(statement, own_signer(home)) if sign else {"statement": statement}
    (half / STATEMENT).write_bytes(orjson.dumps(document))
    shutil.copyfile(verify_balance.__file__, half / VERIFIER)
    kept = {"digest": statement_digest(statement).hex(), "epoch_ms": epoch_ms}
    # Ended in between, the next one finds out whether this one was published: two statements must not follow the same one.
    replace(
        home / "ledger" / _NEXT, orjson.dumps(kept | {"folder": str(folder.absolute()), "half": str(half.absolute())})
    )
    half.replace(folder)
    sync_folder(folder.parent)
    replace(home / "ledger" / _LAST, orjson.dumps(kept))
    (home / "ledger" / _NEXT).unlink()
    return document


def attach(folder: Path, scheme: str, public_key: str, value: str) -> dict[str, Any]:
    """Put a signature that was made elsewhere, by a group's key, to the statement in a folder.

    Raises:
        UsageError: it is not one of this statement by this key.
    """
    document = {
        "statement": read_statement(folder)["statement"],
        "signature": {"scheme": scheme, "public_key": public_key.lower(), "value": value.lower()},
    }
    try:
        check_signed(document, None)
    except Untrue as reason:
        raise UsageError(f"this is no signature of the statement in {folder}: {reason}") from reason
    replace(folder / STATEMENT, orjson.dumps(document))
    (folder / STATEMENT).chmod(0o644)  # to be published
    return document


class Proofs:
    """Proofs for customers, out of what was published and the secret.

    Raises:
        UsageError: the folder has no signed statement, or its leaves are not those of the statement.
    """

    def __init__(self, home: Path, folder: Path) -> None:
        self._secret = kept_secret(home, must_exist=True)
        self._signed = read_statement(folder)
        if "signature" not in self._signed:
            raise UsageError(f"the statement in {folder} is not signed", "attach a signature: m1cep ledger sign")
        statement = self._signed["statement"]
        self._sheets: dict[str, Sheet] = {}
        self._trees: dict[str, Tree] = {}
        for asset, facts in statement["assets"].items():
            try:
                data = (folder / leaves_name(asset)).read_bytes()
            except OSError as error:
                raise UsageError(f"the leaves of {asset} cannot be read: {error.strerror}") from error
            self._sheets[asset] = Sheet.decode(statement["epoch_ms"], asset, data)
            self._trees[asset] = tree = Tree(self._sheets[asset])
            if tree.root.hex() != facts["root"]:
                raise UsageError(f"the leaves of {asset} in {folder} are not those of its statement")

    def of(self, user: str) -> dict[str, Any]:
        """The proof of one customer.

        Raises:
            LedgerError: there is no balance of this customer.
        """
        return customer_proof(self._secret, user, self._signed, self._sheets, self._trees)


def read_statement(folder: Path) -> dict[str, Any]:
    """The statement in a folder, as it was published.

    Raises:
        UsageError: there is none.
    """
    try:
        document: dict[str, Any] = orjson.loads((folder / STATEMENT).read_bytes())
        document["statement"]["assets"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UsageError(f"there is no statement in {folder}: {type(error).__name__}") from error
    return document


def leaves_name(asset: str) -> str:
    """The file of an asset's leaves; assets of custody have slashes and colons in their names."""
    return f"{quote(asset, safe='')}.leaves"


def kept_secret(home: Path, *, must_exist: bool = False) -> Secret:
    """The secret of salts and pieces; made when there is none.

    Raises:
        ServerError: it has to be there and is not: without it nobody's proof can be made.
    """
    return Secret(_kept(home / "ledger" / _SECRET, must_exist=must_exist))


def own_signer(home: Path) -> Signer:
    """An Ed25519 key of our own, made when there is none. Needs the extra ``custody``.

    Raises:
        UsageError: the extra is not installed.
    """
    try:
        from nacl.signing import SigningKey
    except ImportError as error:
        raise UsageError("signing needs the extra custody", "pip install m1cep[custody], or use --unsigned") from error
    key = SigningKey(_kept(home / "ledger" / _KEY))
    return Signer("ed25519", bytes(key.verify_key), lambda message: key.sign(message).signature)


def _kept(path: Path, *, must_exist: bool = False) -> bytes:
    with suppress(FileNotFoundError):
        return path.read_bytes()
    if must_exist:
        raise ServerError(
            f"{path} is not there, and what it made cannot be read without it", "use the right M1CEP_HOME"
        )
    private_folder(path.parent)
    with suppress(FileExistsError):  # another process was faster: then its is the one
        create(path, secrets.token_bytes(32))
        sync_folder(path.parent)
    return path.read_bytes()


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One statement at a time: two would both follow the one before."""
    private_folder(home / "ledger")
    with os.fdopen(os.open(home / "ledger" / _LOCK, os.O_RDWR | os.O_CREAT, 0o600), "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError("another statement is being made now", "wait for it, and make the next one") from None
        yield


def _finish(home: Path) -> None:
    """What became of a statement that was about to be published when its maker was ended.

    Raises:
        UsageError: nobody knows.
    """
    path = home / "ledger" / _NEXT
    try:
        begun = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return
    folder, half = Path(begun["folder"]), Path(begun["half"])
    with suppress(UsageError):
        if statement_digest(read_statement(folder)["statement"]).hex() == begun["digest"]:
            replace(home / "ledger" / _LAST, orjson.dumps({name: begun[name] for name in ("digest", "epoch_ms")}))
            path.unlink()
            return
    if not half.is_dir():
        raise UsageError(
            f"the statement of {begun['epoch_ms']} ms was perhaps published in {folder}, and is not there any more",
            f"put it back; or remove {path} if nobody has ever seen it",
        )
    shutil.rmtree(half, ignore_errors=True)
    path.unlink()


def _last(home: Path) -> tuple[bytes | None, int]:
    """Digest and moment of the statement before."""
    _finish(home)
    try:
        kept = orjson.loads((home / "ledger" / _LAST).read_bytes())
    except FileNotFoundError:
        return None, -1
    return bytes.fromhex(kept["digest"]), int(kept["epoch_ms"])
