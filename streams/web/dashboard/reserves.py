"""Statements of what is owed, and reserves: as they were published in folders (``m1cep ledger prove``), checked when read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from m1cep.ledger.liabilities.verify_balance import (
    Untrue,
    check_reserves,
    check_signed,
    check_statement,
    shown,
    statement_digest,
)
from streams.errors import UsageError
from streams.ledger.statements import STATEMENT, read_statement

if TYPE_CHECKING:
    from pathlib import Path

MOST_STATEMENTS = 200
RESERVES = "reserves.json"


class Reserves:
    """The statements in the folders below a folder.

    Args:
        folder: where statements are published, each in a folder of its own; None: nowhere.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known: dict[Path, tuple[tuple[int, int], dict[str, Any] | None]] = {}

    def look(self) -> dict[str, Any]:
        """The document ``reserves``, the newest first. Reads files: not on the event loop."""
        if self._folder is None:
            return {"statements": None}
        files = sorted(self._folder.glob(f"*/{STATEMENT}"))
        files += [one] if (one := self._folder / STATEMENT).exists() else []
        for gone in self._known.keys() - set(files):
            del self._known[gone]
        for file in files:
            changed = (_changed(file), _changed(file.with_name(RESERVES)))
            if file not in self._known or self._known[file][0] != changed:
                self._known[file] = changed, _statement(file.parent)
        found = [one for _, one in self._known.values() if one is not None]
        found.sort(key=lambda one: -one["time_ms"])
        return {"statements": found[:MOST_STATEMENTS]}


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _statement(folder: Path) -> dict[str, Any] | None:
    try:
        document = read_statement(folder)
        statement, signature = document["statement"], document.get("signature")
        check_statement(statement)
        assets = statement["assets"]
        return {
            "time_ms": statement["epoch_ms"],
            "name": folder.name,
            "root": statement_digest(statement).hex(),
            "roots": {asset: facts["root"] for asset, facts in assets.items()},
            "total": {asset: shown(int(facts["total"]), facts["decimals"]) for asset, facts in assets.items()},
            "customers": None,  # a statement does not tell how many there are
            "signature_ok": _signed(document),
            "signed_by": signature.get("public_key") if isinstance(signature, dict) else None,
            **_reserves(folder, statement),
        }
    except (UsageError, LookupError, TypeError, ValueError, AttributeError, Untrue):
        return None  # half a statement, or none


def _signed(document: dict[str, Any]) -> bool | None:
    if "signature" not in document:
        return None
    try:
        check_signed(document, None)
    except (Untrue, ImportError):
        return False
    return True


def _reserves(folder: Path, statement: dict[str, Any]) -> dict[str, Any]:
    """What the addresses hold whose keys have signed for this statement."""
    try:
        document = orjson.loads((folder / RESERVES).read_bytes())
        found = check_reserves(statement, document)
    except FileNotFoundError:
        return {"reserves": None, "reserves_problem": None}
    except (Untrue, OSError, ValueError, LookupError, TypeError) as error:
        return {"reserves": None, "reserves_problem": str(error)}
    decimals = {asset: facts["decimals"] for asset, facts in statement["assets"].items()}
    return {
        "reserves": {asset: shown(units, decimals.get(asset, 0)) for asset, units in found.items()},
        "reserves_problem": None,
    }
