"""The people of the synthetic flow: accounts with owners, homes, devices and habits. All of it made up, none of it real."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

COUNTRIES = ("DE", "FR", "NL", "ES", "IT", "PL", "GB", "US", "CA", "BR", "JP", "KR", "SG", "AU", "IN", "ZA")
FAR_COUNTRIES = ("KP", "RU", "NG", "VN", "RO", "VE")  # where the takeovers come from; nobody lives or travels there

LADDERS = 0.02  # share of accounts that pull ladders of orders without trading against them
FORGETFUL = 0.04  # share that often fails to log in, and never takes money out
SAVERS = 0.04  # share that moves money out in round amounts, some close below 10 000 USD
MAKERS = 0.10  # share that quotes both sides
OWNERLESS = 0.15  # share of the traders whose beneficial owner is not known


@dataclass(slots=True, eq=False)
class Account:
    """One account.

    Attributes:
        habit: maker | trader | ladder | forgetful | saver.
        owner: beneficial owner, or None where not known.
        devices: the first is the usual one.
        avoids: symbol that the account leaves alone in its everyday trading, because its attack is planted there.
        quiet_ms: span of event time without everyday account events, around the account's attack.
    """

    id: str
    habit: str
    owner: str | None
    country: str
    ip: str
    devices: tuple[str, ...]
    address: str
    balance_usd: float
    avoids: str = ""
    quiet_ms: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class Population:
    """All accounts by habit; ``reserved`` are those that attacks will come from or hit, traders in their everyday life."""

    makers: list[Account] = field(default_factory=list)
    traders: list[Account] = field(default_factory=list)
    ladders: list[Account] = field(default_factory=list)
    forgetful: list[Account] = field(default_factory=list)
    savers: list[Account] = field(default_factory=list)
    reserved: list[Account] = field(default_factory=list)

    @property
    def everyone(self) -> list[Account]:
        """All accounts, the reserved ones included, in the order of their ids."""
        return [*self.makers, *self.ladders, *self.forgetful, *self.savers, *self.traders, *self.reserved]


def populate(rng: random.Random, accounts: int, reserved: int) -> Population:
    """``accounts`` accounts, of which ``reserved`` are set apart for attacks.

    Raises:
        ValueError: too few accounts for the habits and the attacks.
    """
    parts = {
        "maker": max(5, round(accounts * MAKERS)),
        "ladder": max(1, round(accounts * LADDERS)),
        "forgetful": max(2, round(accounts * FORGETFUL)),
        "saver": max(2, round(accounts * SAVERS)),
    }
    traders = accounts - sum(parts.values()) - reserved
    if traders < 10:
        raise ValueError(f"expected at least {accounts + 10 - traders} accounts for these attacks, got {accounts}")
    people = Population()
    groups = {"maker": people.makers, "ladder": people.ladders, "forgetful": people.forgetful, "saver": people.savers}
    for habit, count in parts.items():
        for _ in range(count):
            groups[habit].append(_account(rng, people, habit))
    for _ in range(traders):
        people.traders.append(_account(rng, people, "trader"))
    for _ in range(reserved):
        people.reserved.append(_account(rng, people, "trader"))
    _give_owners(rng, people)
    return people


def _account(rng: random.Random, people: Population, habit: str) -> Account:
    number = len(people.everyone)
    devices = tuple(f"dev-{rng.getrandbits(32):08x}" for _ in range(rng.choice((1, 1, 2, 3))))
    return Account(
        id=f"syn-{number:04d}",
        habit=habit,
        owner=f"owner-{number:04d}",
        country=rng.choice(COUNTRIES),
        ip=address_of_network(rng),
        devices=devices,
        address=chain_address(rng),
        balance_usd=round(rng.lognormvariate(10.2, 0.8), 2),
    )


def _give_owners(rng: random.Random, people: Population) -> None:
    """Some traders own two or three accounts; of some the owner is not known."""
    previous: Account | None = None
    for account in people.traders:
        if rng.random() < OWNERLESS:
            account.owner = None
        elif previous is not None and rng.random() < 0.12:
            account.owner = previous.owner
        previous = account if account.owner else None


def address_of_network(rng: random.Random) -> str:
    """An IP address of the blocks set apart for documentation (RFC 5737): it is nobody's."""
    return f"{rng.choice(('192.0.2', '198.51.100', '203.0.113'))}.{rng.randrange(1, 255)}"


def chain_address(rng: random.Random) -> str:
    """Text in the shape of a chain address that is none: its prefix says so."""
    return f"syn1q{rng.getrandbits(120):030x}"
