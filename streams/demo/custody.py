"""The custody of the demo: three signers and a coordinator in processes of their own, local chains, and six requests.

Three are released, one on each chain. One is refused because the account-takeover rule has frozen the account, one because its
destination is on no whitelist, and one expires because nobody approves it. The script runs in a thread beside the rest.
"""

from __future__ import annotations

import importlib.util
import secrets
import threading
import time
from collections import Counter as Tally
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from streams.demo import command
from streams.demo.reserves import Office
from streams.embedded.process import Process
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from m1cep.custody.request import Request
    from streams.config import Settings
    from streams.custody.counter import Counter
    from streams.custody.mail import Pen
    from streams.custody.roster import Roster

SIGNERS, THRESHOLD = (1, 2, 3), 2
CHAINS = {"btc": "bitcoin:regtest", "sol": "solana:local", "eth": "evm:31337"}
FUNDS = {"btc": "0.5", "sol": "5", "eth": "2"}
AMOUNTS = {"btc": "0.015", "sol": "0.25", "eth": "0.1"}
LARGE_BTC = "0.2"
#: Whose chain's extra needs which module.
_NEEDED = ("nacl", "coincurve", "pbk", "solders", "eth_tester")
_STEP_S = 60.0
_EXPIRES_S, _SHORT_S = 120, 6

_POLICY = """
version: 1
summary: the demo's withdrawals
people: {{ann: {ann}, bea: {bea}}}
groups: {{officers: [ann, bea]}}
change: {{group: officers, count: 2}}
refuse_alerts: critical
rules:
  - {{name: unknown-destination, when: {{destination_not_listed_for: 0.001 s}}, then: reject, reason: on no whitelist}}
  - {{name: small-btc, when: {{asset: "bitcoin:regtest/BTC", amount_at_most: 10_000_000}}, then: allow}}
  - {{name: small-sol, when: {{asset: "solana:local/SOL", amount_at_most: 1_000_000_000}}, then: allow}}
  - {{name: small-eth, when: {{asset: "evm:31337/ETH", amount_at_most: 1_000_000_000_000_000_000}}, then: allow}}
  - {{name: large-btc, when: {{asset: "bitcoin:regtest/BTC"}}, then: approve, group: officers, count: 1}}
  - {{name: rest, then: reject, reason: this policy does not foresee it}}
"""


def can_run() -> bool:
    """Whether the extras with chains and signatures are installed."""
    return all(importlib.util.find_spec(name) for name in _NEEDED)


@dataclass
class DemoCustody:
    """Custody while the demo runs.

    Args:
        settings: with the broker's address.
        folder: of the demo.
        attacked: the account on which the account-takeover rule will alert; None: no attacks are planted.
        say: tells the person something.

    Attributes:
        states: of the requests.
        released: how many on each chain.
        alerted: set when the alert has come.
        ending: to be set when no more alerts will come.
    """

    settings: Settings
    folder: Path
    attacked: str | None
    say: Callable[[str], None]
    states: dict[str, str] = field(default_factory=dict)
    released: Tally[str] = field(default_factory=Tally)
    alerted: threading.Event = field(default_factory=threading.Event)
    ending: threading.Event = field(default_factory=threading.Event)
    _failure: Exception | None = None
    _thread: threading.Thread | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)
    _pens: dict[str, Pen] = field(default_factory=dict)
    _roster: Roster | None = None

    @property
    def roster_file(self) -> Path:
        """Who is who, once it has started."""
        return self.folder / "custody" / "roster.toml"

    def start(self, stack: ExitStack, environment: Mapping[str, str]) -> list[Process]:
        """Make keys, roster and policy, start the processes and the script; the processes."""
        from streams.topic_table import topics_of_signers
        from streams.topics import create_topics

        home = self.folder / "custody"
        home.mkdir(mode=0o700)
        self._make_files(home)
        create_topics(self.settings, topics_of_signers(SIGNERS))
        common = [
            "--custody",
            str(self.roster_file),
            "--policy",
            str(home / "policy.yaml"),
        ]
        passphrase = {"M1CEP_SIGNER_PASSPHRASE_FILE": str(home / "passphrase")}
        started = [
            self._process(
                stack,
                f"signer-{n}",
                command.worker("signer", "--signer", str(n), "--keyfile", str(home / f"{n}.keyfile"), *common, nice=5),
                {**environment, **passphrase},
            )
            for n in SIGNERS
        ]
        keys = ["--coordinator-key", str(home / "coordinator.key"), "--chains-key", str(home / "chains.key")]
        coordinator = command.worker("custody", *keys, *common, nice=5)  # custody is in no hurry here: alerts are
        started.append(self._process(stack, "coordinator", coordinator, dict(environment)))
        self._thread = threading.Thread(target=self._run, name="demo-custody", daemon=True)
        self._thread.start()
        stack.callback(self._stopped.set)
        return started

    def done(self) -> bool:
        """Whether the script has come to its end.

        Raises:
            ShellError: it failed.
        """
        if self._failure is not None:
            raise ShellError(f"the demo's custody failed: {self._failure}") from self._failure
        return self._thread is not None and not self._thread.is_alive()

    def heard(self, alert: Mapping[str, Any]) -> None:
        """An alert of the rules."""
        if alert["rule"] == "account-takeover" and alert["key"].get("account") == self.attacked:
            self.alerted.set()

    def summary(self) -> dict[str, Any]:
        """The demo's part of the contract."""
        ended = Tally(self.states.values())
        return {
            "requests": len(self.states),
            "released": dict(sorted(self.released.items())),
            "rejected": ended["rejected"],
            "expired": ended["expired"],
            "signer_processes": len(SIGNERS),
        }

    @property
    def office(self) -> Office:
        """For who asks signers to stand for statements: one of the people who may."""
        assert self._roster is not None
        return Office(self._roster, self._pens["ann"])

    # -- set-up

    def _process(self, stack: ExitStack, name: str, arguments: list[str], env: dict[str, str]) -> Process:
        process = Process(name, self.folder / f"{name}.log", grace_s=10.0)
        process.start(arguments, env=env)
        stack.enter_context(process)
        return process

    def _make_files(self, home: Path) -> None:
        from streams.custody.keyfile import Keyfile
        from streams.custody.roster import load_roster
        from streams.custody.seeds import load_pen, make_seed
        from streams.custody.strongbox import WEAK

        words = secrets.token_urlsafe(24)
        (home / "passphrase").touch(mode=0o600)
        (home / "passphrase").write_text(words)
        lines = []
        for name in ("coordinator", "chains", "operations", "withdrawals", "ann", "bea"):
            make_seed(home / f"{name}.key")
            self._pens[name] = load_pen(name, home / f"{name}.key")
        key = {name: pen.verify_key.hex() for name, pen in self._pens.items()}
        lines += ["[coordinator]", f'key = "{key["coordinator"]}"', "[facts]"]
        lines += [f'{name} = "{key[name]}"' for name in ("chains", "operations")]
        lines += ["[requesters]", f'withdrawals = "{key["withdrawals"]}"', "[signers]"]
        for number in SIGNERS:
            # A passphrase of 24 random bytes needs no stretching, which costs each of six openings half a second.
            file = Keyfile.create(home / f"{number}.keyfile", number, words, WEAK)
            lines.append(f'{number} = "{file.identity().verify_key.hex()}"')
            file.close()
        for vault, (chain, account) in self._vaults().items():
            lines += [f"[vaults.{vault}]", f'chain = "{chain}"', f'account = "{account}"']
            lines += [f"signers = {list(SIGNERS)}", f"threshold = {THRESHOLD}"]
        (home / "roster.toml").write_text("\n".join(lines) + "\n")
        (home / "policy.yaml").write_text(_POLICY.format(ann=key["ann"], bea=key["bea"]))
        self._roster = load_roster(home / "roster.toml")

    def _vaults(self) -> dict[str, tuple[str, str]]:
        """Chain and account of each."""
        found = {f"client-{coin}": (chain, f"client-{coin}") for coin, chain in CHAINS.items()}
        if self.attacked is not None:
            found["attacked-btc"] = (CHAINS["btc"], self.attacked)
        return found

    # -- the script

    def _run(self) -> None:
        from streams.custody.counter import open_counter

        assert self._roster is not None
        try:
            with open_counter(self.settings, self._roster) as counter:
                self._play(counter)
        except Exception as error:  # noqa: BLE001 - told to whoever asks whether it is done
            if not self._stopped.is_set():
                self._failure = error

    def _play(self, counter: Counter) -> None:
        from streams.custody.asks import AskCeremony, AskFunds

        operator = self._pens["ann"]
        vaults = self._vaults()
        for vault in vaults:
            counter.ask_desk(operator, AskCeremony(f"keygen-{vault}", "keygen", vault))
        self._wait(counter, lambda: vaults.keys() <= counter.view.vaults.keys(), "keys for all vaults")
        self.say(f"{len(SIGNERS)} signers have made {len(vaults)} keys; none of them has one")
        for vault in vaults:
            counter.ask_desk(operator, AskFunds(f"funds-{vault}", vault, FUNDS[vault.rpartition("-")[2]]))
        self._wait(counter, lambda: all(int(counter.view.vaults[v].free) > 0 for v in vaults), "money in all vaults")
        requests = [self._ask(counter, f"client-{coin}", AMOUNTS[coin]) for coin in CHAINS]
        requests.append(self._ask(counter, "client-btc", AMOUNTS["btc"], name="elsewhere", listed=False))
        requests.append(self._ask(counter, "client-btc", LARGE_BTC, name="unapproved", expires_s=_SHORT_S))
        if self.attacked is not None:
            while not (self.alerted.wait(0.2) or self.ending.is_set() or self._stopped.is_set()):
                self._ended(counter, requests)
                counter.listen(0)
            if self.alerted.is_set():
                requests.append(self._ask(counter, "attacked-btc", AMOUNTS["btc"], name="attacked"))
        self._wait(counter, lambda: self._ended(counter, requests), "all requests to end")

    def _wait(self, counter: Counter, holds: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + _STEP_S
        while not holds():
            if self._stopped.is_set():
                raise ShellError("the demo has ended")
            if time.monotonic() > deadline_s:
                raise ShellError(f"{what} did not come in {_STEP_S:.0f} s; the logs are in {self.folder}")
            counter.listen(50)

    def _ask(
        self,
        counter: Counter,
        vault: str,
        amount: str,
        *,
        name: str = "",
        listed: bool = True,
        expires_s: int = _EXPIRES_S,
    ) -> Request:
        from m1cep.custody.policy.events import DestinationListed
        from m1cep.custody.request import Kind, Request
        from streams.custody.derive import chain_of
        from streams.custody.mail import ROUNDS

        assert self._roster is not None
        about = self._roster.vaults[vault]
        chain = chain_of(about.chain)
        now_ms = time.time_ns() // 1_000_000
        destination = chain.destination(chain.address(_somebody(about.chain)))
        if listed:
            fact = DestinationListed(
                secrets.token_hex(8), about.account, chain.name, destination, True, now_ms - 60_000
            )
            counter.send(
                self._pens["operations"].write(ROUNDS, about.account, "fact", msgspec.json.encode(fact).decode())
            )
        request = Request(
            f"demo-{name or vault}", Kind.TRANSFER, "withdrawals", about.account, vault, chain.name, chain.asset.symbol,
            destination, str(chain.asset.parse(amount)), now_ms, now_ms + expires_s * 1_000,
        )  # fmt: skip
        self.states[request.id] = "requested"
        counter.ask(self._pens["withdrawals"], request)
        return request

    def _ended(self, counter: Counter, requests: list[Request]) -> bool:
        for request in requests:
            seen = counter.view.requests.get(request.id)
            if seen is None or seen.state == self.states[request.id]:
                continue
            self.states[request.id] = seen.state
            if seen.state == "confirmed":
                self.released[request.chain] += 1
                self.say(f"released: {request.id} on {request.chain}")
            elif seen.state in {"rejected", "expired"}:
                self.say(f"{seen.state}: {request.id}: {seen.status.reason if seen.status else ''}")
        return all(state in {"confirmed", "rejected", "expired", "cancelled"} for state in self.states.values())


def _somebody(chain: str) -> bytes:
    """Somebody's public key on a chain, whose private one nobody keeps."""
    if chain.startswith("solana"):
        from nacl.signing import SigningKey

        return bytes(SigningKey.generate().verify_key)
    from coincurve import PrivateKey

    return PrivateKey().public_key.format()
