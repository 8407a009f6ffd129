"""A coordinator and signers in processes that can be killed at any step, and what must be true of all that they ever said."""

import json
import signal
import time
from collections import defaultdict
from pathlib import Path

import msgspec
from custodyhouse import CHAINS, PASSPHRASE, House
from custodyoffice import SOME, Office
from faults.harness import environment, logged, until
from topics_read import read_topic

from m1cep.custody.policy.events import DestinationListed
from m1cep.custody.request import Kind, Request
from m1cep.custody.requests import State, decode
from m1cep.custody.requests.messages import AskCommitment, AskShare, Commitment, Share, Status, Submit
from m1cep.errors import CustodyError
from streams.config import load_settings
from streams.custody import asks
from streams.custody.counter import Counter, open_counter
from streams.custody.derive import chain_of, derive
from streams.custody.keyfile import Keyfile
from streams.custody.mail import RELEASES, REQUESTS, ROUNDS, open_letter
from streams.custody.roster import load_roster
from streams.custody.strongbox import WEAK
from streams.topic_table import BUILT_IN, topics_of_signers
from streams.topics import create_topics

FUNDS = {"bitcoin": "0.5", "solana": "5", "evm": "5"}
COORDINATOR = "coordinator"
#: A machine that is busy with other things may take its time; nothing here waits for a time, only for what is to happen.
PATIENCE_S = 120


class Cluster:
    """A house on a broker.

    Args:
        nursery: forks processes.
        broker: empty.
        folder: empty.
        mutant: of every process.
    """

    def __init__(self, nursery, broker, folder, kinds, *, signers=3, threshold=2, mutants=()):
        self.house = House(folder / "house", kinds, signers, threshold, WEAK)
        self.address, self.kinds, self._nursery, self._folder = broker.address, kinds, nursery, folder
        create_topics(load_settings(broker=self.address), (*BUILT_IN, *topics_of_signers(self.house.numbers)))
        self.roster = load_roster(self.house.roster)
        self._mutants = [f"custody=mutant:{name}" for name in mutants]
        self._nonces = folder / "nonces"
        self._processes, self._starts, self._asked = {}, 0, 0
        self.requests = []

    # -- processes

    def begin(self, *names, sabotage=()):
        """Start processes: a signer's number, or ``coordinator``; all with the same sabotage. Returns when they are ready."""
        waits = []
        for name in names:
            self._starts += 1
            options = self.house.coordinator() if name == COORDINATOR else self.house.signer(name)
            stats, log = self._folder / f"stats-{self._starts}.json", self._folder / f"log-{name}-{self._starts}.txt"
            env = environment(
                M1CEP_BROKER=self.address,
                M1CEP_HOME=self._folder / "home",
                M1CEP_SIGNER_PASSPHRASE_FILE=self.house.passphrase,
            )
            wrong = [f"custody=nonces:{self._nonces}", *self._mutants, *(f"custody={one}" for one in sabotage)]
            arguments = ["worker", *options, "--stats-file", stats, "--stats-every-ms", 50]
            self._processes[name] = logged(self._nursery, arguments, env, log, wrong)
            waits.append((name, stats, log))
        for name, stats, log in waits:

            def ready(name=name, stats=stats, log=log):
                status = self._processes[name].poll()
                assert status is None or sabotage, f"{name} ended with {status}\n{log.read_text()}"
                return status is not None or (stats.exists() and json.loads(stats.read_text())["ready"])

            until(ready, PATIENCE_S, lambda log=log: log.read_text() if log.exists() else "")

    def kill(self, name):
        """At any moment."""
        if self._processes[name].poll() is None:
            self._processes[name].kill()
        self.wait_death(name)

    def wait_death(self, name):
        """It kills itself at the step that it was told."""
        until(lambda: self._processes[name].poll() is not None, PATIENCE_S, lambda: f"{name} lives")
        assert self._processes[name].poll() == -signal.SIGKILL

    def end(self):
        """All of them."""
        for name, process in self._processes.items():
            if process.poll() is None:
                self.kill(name)

    # -- people

    def open(self):
        """Where people come; the context of a :class:`Counter`."""
        return open_counter(load_settings(broker=self.address), self.roster)

    def prepare(self, counter: Counter):
        """Keys, money, addresses on the whitelist."""
        bob = self.house.pen("bob")
        for kind in self.kinds:
            counter.ask_desk(bob, asks.AskCeremony(f"keygen-{kind}", "keygen", f"alice-{kind}"))
        for kind in self.kinds:
            vault = f"alice-{kind}"
            self.see(counter, lambda view, vault=vault: vault in view.vaults, f"{vault} has a key")
            counter.ask_desk(bob, asks.AskFunds(f"fund-{kind}", vault, FUNDS[kind]))
            event = DestinationListed(f"list-{kind}", "alice", CHAINS[kind], Office.stranger(None, kind), True, 1)
            body = msgspec.json.encode(event).decode()
            counter.send(self.house.pen("operations").write(ROUNDS, "facts", "fact", body))
        for kind in self.kinds:
            vault = f"alice-{kind}"
            self.see(counter, lambda view, vault=vault: int(view.vaults[vault].free) > 0, f"{vault} has money")

    def refresh(self, counter: Counter, kind):
        """Another epoch of a vault's key."""
        vault = f"alice-{kind}"
        epoch = counter.view.vaults[vault].epoch
        counter.ask_desk(self.house.pen("bob"), asks.AskCeremony(f"refresh-{kind}-{epoch}", "refresh", vault))
        self.see(
            counter, lambda view: view.vaults[vault].epoch == epoch + 1, f"{vault} has shares of epoch {epoch + 1}"
        )

    def ask(self, counter: Counter, kind, expires_s=60):
        """A request for what nobody has anything against."""
        self._asked += 1
        chain, now_ms = chain_of(CHAINS[kind]), time.time_ns() // 1_000_000
        request = Request(
            id=f"w-{self._asked}",
            kind=Kind.TRANSFER,
            requester="shop",
            account="alice",
            vault=f"alice-{kind}",
            chain=chain.name,
            asset=chain.asset.symbol,
            destination=Office.stranger(None, kind),
            amount=str(SOME[kind]),
            requested_ms=now_ms,
            expires_ms=now_ms + expires_s * 1_000,
        )
        counter.ask(self.house.pen("shop"), request)
        self.requests.append(request)
        return request

    def see(self, counter: Counter, holds, what):
        """Wait until what was said shows it."""
        assert counter.wait(holds, PATIENCE_S), (
            f"{what} did not come true: {counter.view.ceremonies} {self.stands(counter)}"
        )

    def stands(self, counter: Counter):
        """Each request's state and reason."""
        seen = counter.view.requests
        return {one.id: (seen[one.id].state, seen[one.id].status) for one in self.requests if one.id in seen}

    def state(self, counter: Counter, request):
        """Where a request stands; None: nothing was said of it."""
        seen = counter.view.requests.get(request.id)
        return seen.status.state if seen is not None and seen.status is not None else None

    def reaches(self, counter: Counter, request, *states):
        """Wait until a request is in one of these states, any end if there are none; its status."""
        wanted = states or [state for state in State if state.ended]
        what = f"{request.id} is {' or '.join(state.value for state in wanted)}"
        self.see(counter, lambda _: self.state(counter, request) in wanted, what)
        return counter.view.requests[request.id].status

    # -- what must be true

    def letters(self):
        """All that was ever said of requests, by parties that are known: sender and message."""
        keys = {**self.roster.keys, "shop": self.roster.requesters["shop"]}
        found = []
        for topic in (REQUESTS, ROUNDS, RELEASES):
            for record in read_topic(self.address, topic):
                try:
                    letter = open_letter(record.value, keys)
                except CustodyError:
                    continue
                if letter.about == "request":
                    found.append((letter.sender, decode(letter.body.encode())))
        return found

    def check(self, counter: Counter):
        """Never two contents for one request, never a nonce twice, always one end with a reason."""
        said = [message for _, message in self.letters()]
        self._check_contents(said, counter)
        self._check_nonces(said)
        self._check_ends(said)
        return said

    def shares_in_memory(self):
        """Whose shares of any vault are somewhere in the memory of which process, as the keyfiles have them now."""
        shares = {}
        for number in self.house.numbers:
            held = Keyfile.open(self.house.keyfile(number), PASSPHRASE, to_read=True).held
            shares[number] = [one.share.secret.reveal() for one in held.values()]
        return {
            name: {number for number, secrets in shares.items() if memory_has(process.pid, secrets)}
            for name, process in self._processes.items()
        }

    def _check_contents(self, said, counter):
        plans, shared = defaultdict(set), {(one.request_id, one.attempt) for one in said if isinstance(one, Share)}
        for one in said:
            plan = one.plan if isinstance(one, AskCommitment | AskShare) else None
            if plan is not None and (one.request_id, one.attempt) in shared:
                plans[one.request_id].add(plan)
        for request in self.requests:
            group = bytes.fromhex(counter.view.vaults[request.vault].key)
            made = [derive(self.roster.vaults, group, request, plan) for plan in plans[request.id]]
            contents = {tuple(one.message for one in unsigned.to_sign) for unsigned in made}
            assert len(contents) <= 1, f"two contents were signed for {request.id}"

    def _check_nonces(self, said):
        used = [tuple(json.loads(line)[:2]) for line in self._nonces.read_text().splitlines()]
        assert used, "nothing was signed"
        twice = {one for one in used if used.count(one) > 1}
        assert not twice, f"nonces were used twice, by signers {sorted({signer for signer, _ in twice})}"
        given = defaultdict(set)
        for one in said:
            if isinstance(one, Share | Commitment):
                given[type(one), one.request_id, one.attempt, one.signer].add(one)
        assert all(len(answers) == 1 for answers in given.values()), "two answers in one attempt"

    def _check_ends(self, said):
        ends = defaultdict(set)
        for one in said:
            if isinstance(one, Status):
                assert one.reason, f"{one.request_id} is {one.state} for no reason"
                if one.state.ended:
                    ends[one.request_id].add(one.state)
        asked = {one.request.id for one in said if isinstance(one, Submit)}
        assert asked == {request.id for request in self.requests}
        assert {name: len(ends[name]) for name in asked} == dict.fromkeys(asked, 1), f"not one end each: {dict(ends)}"


def memory_has(pid, values):
    """Whether a process has one of these byte strings anywhere in what it can write to."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, permissions = line.split()[:2]
            begin, end = (int(at, 16) for at in span.split("-"))
            if not permissions.startswith("rw"):
                continue
            try:
                memory.seek(begin)
                found = memory.read(end - begin)
            except OSError:  # not there for readers, such as vvar
                continue
            if any(value in found for value in values):
                return True
    return False
