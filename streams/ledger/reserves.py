"""Reserves of a statement: what addresses hold whose keys have signed for it, against what is owed (``docs/liabilities.md``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from m1cep.ledger.liabilities.verify_balance import RESERVES_FORMAT, Untrue, check_reserves, shown, statement_digest
from streams.durable import replace
from streams.errors import ShellError
from streams.ledger.statements import read_statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

RESERVES = "reserves.json"


@dataclass(frozen=True)
class Cover:
    """One asset: what is owed to customers, and what is there. Amounts in minor units.

    Attributes:
        decimals: of the asset.
        held: at addresses whose keys have signed; None: no address has signed for this asset.
    """

    asset: str
    decimals: int
    owed: int
    held: int | None

    @property
    def covered(self) -> bool:
        """Whether as much is there as is owed."""
        return (self.held or 0) >= self.owed

    def plain(self) -> dict[str, Any]:
        """For JSON; ``units`` is what is held, None where no address has signed."""
        return {
            "asset": self.asset,
            "units": None if self.held is None else str(self.held),
            "owed_units": str(self.owed),
            "decimals": self.decimals,
            "covered": self.covered,
        }

    def __str__(self) -> str:
        owed = shown(self.owed, self.decimals)
        if self.held is None:
            return f"{self.asset}: {owed} owed, no address has signed"
        words = f"{self.asset}: reserves {shown(self.held, self.decimals)}, {owed} owed"
        missing = shown(self.owed - self.held, self.decimals) if not self.covered else ""
        return f"{words}: NOT covered, {missing} less than what is owed" if missing else f"{words}: covered"


def publish_reserves(folder: Path, places: Sequence[Mapping[str, Any]]) -> list[Cover]:
    """Check what addresses' keys have signed for the statement in a folder, and write ``reserves.json`` there.

    Args:
        folder: as ``prove`` made it.
        places: chain, asset, address, units (text), height, scheme, public_key, signature of each.

    Returns:
        Each asset that is owed or held, by name.

    Raises:
        UsageError: there is no statement.
        ShellError: something that is claimed does not hold; nothing is written.
    """
    statement = read_statement(folder)["statement"]
    document = {
        "format": RESERVES_FORMAT,
        "statement": statement_digest(statement).hex(),
        "reserves": [dict(place) for place in places],
    }
    try:
        found = check_reserves(statement, document)
    except Untrue as reason:
        raise ShellError(f"the reserves are not written: {reason}") from reason
    replace(folder / RESERVES, orjson.dumps(document))
    (folder / RESERVES).chmod(0o644)  # to be published
    return covers(statement, found)


def covers(statement: Mapping[str, Any], held: Mapping[str, int]) -> list[Cover]:
    """Each asset of a statement, and those of which something is held though nothing is owed; by name.

    Args:
        statement: as signed.
        held: by asset, in minor units, as ``check_reserves`` finds it.
    """
    assets = statement["assets"]
    return [
        Cover(name, assets[name]["decimals"], int(assets[name]["total"]), held.get(name))
        if name in assets
        else Cover(name, 0, 0, held[name])
        for name in sorted(assets.keys() | held.keys())
    ]
