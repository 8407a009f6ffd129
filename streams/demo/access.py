"""Everyday life of the synthetic accounts: logins, failed ones too, settings, deposits and withdrawals, by event time.

A session is a script: what happens, and how many seconds after the one before. Near-misses of the attacks are part of it:
two failed logins, then everything that a takeover does; five failed ones and a forgotten password, but no withdrawal;
withdrawals close below 10 000 USD, but three within ten minutes at most.

What never happens here (the tests hold a slow checker against it): three failed logins within half an hour by an account
that also takes money out; a fourth withdrawal of 8 500 to 10 000 USD by one account within ten minutes.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

from streams.demo.population import COUNTRIES, address_of_network, chain_address

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from streams.demo.market import Timed
    from streams.demo.population import Account, Population

Step = tuple[float, str, dict[str, Any]]  # seconds after the session began, kind, columns beside the usual ones

SESSION_EVERY_S = 600.0  # mean time between two sessions of one account
FAIL_MEMORY_MS = 31 * 60_000  # an account that failed a login does not fail another for so long, unless it is forgetful
SAVER_REST_MS = 25 * 60_000  # between two series of withdrawals of a saver

_SESSIONS = (  # name of the script, weight
    ("plain", 45),
    ("one_failure", 12),
    ("two_failures_and_withdrawal", 6),
    ("deposit", 12),
    ("withdrawal", 12),
    ("new_address", 4),
    ("new_password", 3),
    ("travel", 4),
    ("new_phone", 2),
)


class Access:
    """The flow of account events. ``events()`` can be asked for once."""

    def __init__(self, rng: random.Random, people: Population, start_ms: int, end_ms: int) -> None:
        self._rng = rng
        self._people = people.everyone
        self._start, self._end = start_ms, end_ms
        self._busy_until = {account.id: float("-inf") for account in self._people}
        self._failed_at = dict(self._busy_until)
        self._scripts = [name for name, weight in _SESSIONS for _ in range(weight)]
        self._due: list[tuple[int, int, dict[str, Any]]] = []
        self._told = 0
        for account in people.reserved:
            # Home is known before anything happens abroad: a login shortly before the quiet time around the attack.
            if account.quiet_ms[1]:
                self._session(max(start_ms, account.quiet_ms[0] - 30_000), account, [(0, "login", {})])

    def events(self) -> Iterator[Timed]:
        """Account events by event time."""
        due = self._due
        at: float = self._start
        every_ms = SESSION_EVERY_S * 1000 / len(self._people)
        while True:
            at += self._rng.expovariate(1 / every_ms)
            while due and due[0][0] <= at and due[0][0] < self._end:
                ts, _, event = heapq.heappop(due)
                yield ts, "accounts", event
            if at >= self._end:
                return
            account = self._rng.choice(self._people)
            script = self._script(at, account)
            if self._free(account, at, script):
                self._busy_until[account.id] = (
                    at + script[-1][0] * 1000 + (SAVER_REST_MS if account.habit == "saver" else 1_000)
                )
                self._session(int(at), account, script)

    def _free(self, account: Account, at: float, script: list[Step]) -> bool:
        if self._busy_until[account.id] > at:
            return False
        quiet_from, quiet_to = account.quiet_ms
        return at > quiet_to or at + script[-1][0] * 1000 + 1 < quiet_from

    def _session(self, at: int, account: Account, script: list[Step]) -> None:
        for after_s, kind, more in script:
            self._told += 1
            ts = at + int(after_s * 1000)
            heapq.heappush(self._due, (ts, self._told, account_event(f"syn-a{self._told}", account, kind, ts, more)))

    def _script(self, at: float, account: Account) -> list[Step]:
        if account.habit == "forgetful":
            return self._forgetful()
        if account.habit == "saver":
            return self._saving(account)
        name = self._rng.choice(self._scripts)
        script: list[Step] = getattr(self, f"_{name}")(account)
        if any(kind == "login_failed" for _, kind, _ in script):
            if at - self._failed_at[account.id] < FAIL_MEMORY_MS:
                return self._plain(account)
            self._failed_at[account.id] = at
        return script

    # Sessions

    def _plain(self, _: Account) -> list[Step]:
        return [(0, "login", {})]

    def _one_failure(self, _: Account) -> list[Step]:
        return [(0, "login_failed", {}), (self._pause(6), "login", {})]

    def _two_failures_and_withdrawal(self, account: Account) -> list[Step]:
        tries: list[Step] = [(0, "login_failed", {}), (7, "login_failed", {}), (20, "login", {})]
        if self._rng.random() < 0.4:  # all of a takeover, but for the third failure and a strange country
            tries += [(60, "password_changed", {}), (90, "address_whitelisted", {"address": chain_address(self._rng)})]
        return [*tries, (120 + self._pause(30), "withdrawal", self._money(account, 80.0, 6_000.0))]

    def _deposit(self, account: Account) -> list[Step]:
        return [(0, "login", {}), (self._pause(60), "deposit", self._money(account, 100.0, 30_000.0))]

    def _withdrawal(self, account: Account) -> list[Step]:
        low, high = (10_500.0, 60_000.0) if self._rng.random() < 0.1 else (50.0, 8_000.0)
        return [(0, "login", {}), (self._pause(60), "withdrawal", self._money(account, low, high))]

    def _new_address(self, account: Account) -> list[Step]:
        address = chain_address(self._rng)
        money = {**self._money(account, 50.0, 8_000.0), "address": address}
        return [(0, "login", {}), (30, "address_whitelisted", {"address": address}), (95, "withdrawal", money)]

    def _new_password(self, _: Account) -> list[Step]:
        return [(0, "login", {}), (self._pause(40), "password_changed", {})]

    def _travel(self, account: Account) -> list[Step]:
        abroad = self._rng.choice([c for c in COUNTRIES if c != account.country])
        return [(0, "login", {"country": abroad, "ip": address_of_network(self._rng)})]

    def _new_phone(self, account: Account) -> list[Step]:
        phone = {"device": f"dev-{self._rng.getrandbits(32):08x}"}
        address = chain_address(self._rng)
        return [
            (0, "login", phone),
            (40, "two_factor_changed", phone),
            (100, "address_whitelisted", {**phone, "address": address}),
            (170, "withdrawal", {**phone, **self._money(account, 100.0, 8_000.0), "address": address}),
        ]

    def _forgetful(self) -> list[Step]:
        chance = self._rng.random()
        if chance < 0.6:
            return [(0, "login", {})]
        failures: list[Step] = [(8.0 * n, "login_failed", {}) for n in range(self._rng.randrange(3, 7))]
        if chance < 0.75:
            return failures
        return [*failures, (70, "login", {}), (110, "password_changed", {})]

    def _saving(self, account: Account) -> list[Step]:
        kind = self._rng.choice(("two", "three", "spread", "small", "large", "none"))
        count, low, high, gap_s = {
            "two": (2, 8_500.0, 9_999.0, 150.0),
            "three": (3, 8_500.0, 9_700.0, 170.0),  # together below 30 000
            "spread": (4, 8_500.0, 9_999.0, 330.0),
            "small": (5, 1_000.0, 3_000.0, 100.0),
            "large": (3, 12_000.0, 20_000.0, 120.0),
            "none": (0, 0.0, 0.0, 0.0),
        }[kind]
        out: list[Step] = [(30 + gap_s * n, "withdrawal", self._money(account, low, high)) for n in range(count)]
        return [(0, "login", {}), *out]

    def _pause(self, mean_s: float) -> float:
        return round(2 + self._rng.expovariate(1 / mean_s), 3) if mean_s else 0.0

    def _money(self, account: Account, low_usd: float, high_usd: float) -> dict[str, Any]:
        return money(self._rng, account, self._rng.uniform(low_usd, high_usd))


_USD_PER_UNIT = {"USDT": 1.0, "BTC": 78_380.0, "ETH": 2_310.0}


def money(rng: random.Random, account: Account, usd: float) -> dict[str, Any]:
    """The columns of a deposit or withdrawal worth ``usd``, in an asset picked by chance."""
    asset = rng.choice(("USDT", "USDT", "BTC", "ETH"))
    amount = round(usd / _USD_PER_UNIT[asset], 6)
    return {"asset": asset, "amount": amount, "amount_usd": round(usd, 2), "address": account.address}


def account_event(event_id: str, account: Account, kind: str, ts: int, more: dict[str, Any]) -> dict[str, Any]:
    """An event of the ``accounts`` stream, from the account's home and usual device unless ``more`` says otherwise."""
    event: dict[str, Any] = {
        "event_id": event_id,
        "account": account.id,
        "kind": kind,
        "asset": None,
        "amount": None,
        "amount_usd": None,
        "address": None,
        "ip": account.ip,
        "country": account.country,
        "device": account.devices[0],
        "ts": ts,
    }
    event.update(more)
    return event
