"""A coordinator with real chains, signers with dealt FROST keys and people with keys of their own, over topics in memory.

A broker's promises are kept (order in a partition, nothing lost that was taken) and no more. Faults: records come twice, topics
are read in any order, whoever crashes begins again at its last snapshot and may have sent all, some or nothing since.
"""

import random
from collections import defaultdict
from functools import cache
from types import SimpleNamespace

from frostworld import dealt, seeded
from nacl.signing import SigningKey

from m1cep.custody.frost import ED25519
from m1cep.custody.frost.hidden import Secret
from m1cep.custody.policy import Approval, parse_policy
from m1cep.custody.policy.events import DestinationListed
from m1cep.custody.request import Kind, Request
from m1cep.custody.requests import Timing, decode, encode
from m1cep.custody.requests.messages import Approved, Cancel, Status, Submit
from streams import codec
from streams.agents.outbox import Packet
from streams.agents.unsent import packed, unpacked
from streams.chains.local import open_local
from streams.custody.chaindesk import ChainDesk
from streams.custody.coordinating import TOPICS, CoordinatorMachine
from streams.custody.derive import chain_of, suite_of
from streams.custody.journal import Journal
from streams.custody.mail import LOG, RELEASES, REQUESTS, ROUNDS, Pen, open_letter
from streams.custody.owners import owner_address
from streams.custody.roster import AUDIT, COORDINATOR, AuditGroup, Roster, Vault, signer_name
from streams.custody.signer_machine import SignerMachine

START_MS = 1_800_000_000_000
CHAINS = {"bitcoin": "bitcoin:regtest", "solana": "solana:local", "evm": "evm:31337", "safe": "safe:31337"}
ASSETS = {"bitcoin": "BTC", "solana": "SOL", "evm": "ETH", "safe": "ETH"}
FUNDS = {"bitcoin": "0.5", "solana": "5", "evm": "5", "safe": "5"}
SOME = {"bitcoin": 100_000, "solana": 10**8, "evm": 10**17, "safe": 10**17}  # minor units of a usual transfer

POLICY = """
version: 1
people: {PEOPLE}
groups: {officers: [bob, carol]}
change: {group: officers, count: 2}
rules:
  - name: unknown-destination
    when: {destination_not_listed_for: 1 ms}
    then: reject
    reason: the destination is not on the whitelist
  - name: large-btc
    when: {asset: "bitcoin:regtest/BTC", amount_above: 1000000}
    then: approve
    group: officers
    count: 2
  - name: small-btc
    when: {asset: "bitcoin:regtest/BTC"}
    then: allow
  - name: sol
    when: {asset: "solana:local/SOL"}
    then: allow
  - name: eth
    when: {asset: "evm:31337/ETH"}
    then: allow
  - name: safe-eth
    when: {asset: "safe:31337/ETH"}
    then: allow
  - name: rest
    then: reject
    reason: not foreseen
"""


def seed_of(name):
    return seeded(("seed", name))(32)


def key_of(name):
    return bytes(SigningKey(seed_of(name)).verify_key)


def pen(name):
    return Pen(name, Secret(seed_of(name)))


def policy_text():
    people = ", ".join(f"{name}: {key_of(name).hex()}" for name in ("alice", "bob", "carol"))
    return POLICY.replace("PEOPLE", people)


@cache
def office_policy():
    """Read once: whoever crashes begins with it again, hundreds of times."""
    return parse_policy(policy_text())


def owners(kind, numbers):
    if kind != "safe":
        return {}
    return {n: owner_address(Secret(seed_of(signer_name(n))), "alice-safe") for n in numbers}


def make_roster(kinds, signers=3, threshold=2, audit=None):
    """A vault of alice's on each chain."""
    facts, numbers = ("chains", "operations"), tuple(range(1, signers + 1))
    keys = {name: key_of(name) for name in (COORDINATOR, *facts, *map(signer_name, numbers))}
    vaults = {
        f"alice-{kind}": Vault(
            chain=CHAINS[kind], account="alice", signers=numbers, threshold=threshold, owners=owners(kind, numbers)
        )
        for kind in kinds
    }
    return Roster(
        keys, frozenset(facts), {n: key_of(signer_name(n)) for n in numbers}, vaults, {"shop": key_of("shop")}, audit
    )


class Actor:
    """Somebody who reads topics: a position in each, a snapshot of state and positions."""

    def __init__(self, name, topics, begin):
        self.name, self.topics, self.begin = name, topics, begin
        self.kept = (dict.fromkeys(topics, 0), None)
        self.restart()

    def keep(self, said):
        self.kept = (dict(self.at), packed(self.machine.snapshot(), said))

    def restart(self):
        positions, kept = self.kept
        self.at = dict(positions)
        state, unsent = unpacked(kept) if kept else (None, [])
        self.machine, first = self.begin(state)
        self.first = [*unsent, *first]


class Office:
    """All of it. ``run`` lets time pass until nothing is left to do."""

    def __init__(
        self, folder, kinds=("bitcoin", "solana", "evm"), *, seed=0, signers=3, threshold=2, faults=0.0, timing=None,
        audit=False,
    ):  # fmt: skip
        self.rng, self.faults, self.now_ms = random.Random(seed), faults, START_MS
        self.roster = make_roster(kinds, signers, threshold)
        self.audit_shares = {}
        if audit:
            self.audit_shares = dealt(ED25519, threshold, tuple(self.roster.signers), seeded(("audit", seed)))
            key = self.audit_shares[1].public.group.hex()
            group = AuditGroup(signers=tuple(self.roster.signers), threshold=threshold, key=key)
            self.roster = make_roster(kinds, signers, threshold, group)
        self.folder, self.timing = folder, timing or Timing()
        self.nodes, self.desks, self.topics, self.refused = {}, [], defaultdict(list), []
        self.keep_chains = True
        self.shares = {
            name: dealt(suite_of(chain_of(vault.chain)), threshold, vault.signers, seeded((name, seed)))
            for name, vault in self.roster.vaults.items()
            if not vault.owners
        }
        self.coordinator = Actor(COORDINATOR, TOPICS, self.begin_coordinator)
        self.signers = {
            n: Actor(signer_name(n), (ROUNDS, RELEASES, LOG), lambda state, n=n: self.begin_signer(n, state))
            for n in self.roster.signers
        }
        self.actors = [self.coordinator, *self.signers.values()]
        self.count = 0

    def begin_coordinator(self, state):
        publics = {vault: shares[1].public for vault, shares in self.shares.items()}
        publics |= {AUDIT: self.audit_shares[1].public} if self.audit_shares else {}
        desk = ChainDesk(self.roster.vaults, self.open_node)
        self.journal = Journal(self.folder / "audit.jsonl")
        machine = CoordinatorMachine(
            self.roster,
            office_policy(),
            pen(COORDINATOR),
            pen("chains"),
            desk,
            self.journal,
            now_ms=lambda: self.now_ms,
            timing=self.timing,
            publics=publics if state is None else None,
        )
        self.desk = desk
        return machine, (machine.load(state) if state is not None else [])

    def begin_signer(self, number, state):
        """Its shares were dealt, so its keyfile is no file."""
        held = {vault: SimpleNamespace(share=shares[number], since_ms=0) for vault, shares in self.shares.items()}
        if self.audit_shares:
            held[AUDIT] = SimpleNamespace(share=self.audit_shares[number], since_ms=0)
        seed = Secret(seed_of(signer_name(number)))
        keyfile = SimpleNamespace(number=number, seed=seed, held=held, path="nowhere", memory_lost=lambda _ms: None)
        machine = SignerMachine(self.roster, office_policy(), keyfile, lambda: self.now_ms)
        return machine, (machine.load(state) if state is not None else [])

    def open_node(self, name):
        kind = name.partition(":")[0]
        if kind not in self.nodes or not self.keep_chains:
            self.nodes[kind] = self.make_node(kind)
        return self.nodes[kind]

    def make_node(self, kind):
        if kind == "evm":
            from streams.chains.evm import LocalEvm
            from streams.chains.evm_machine import EvmMachine

            return LocalEvm(EvmMachine(31_337, lambda: self.now_ms / 1000))
        if kind == "safe":
            from streams.chains.evm import LocalSafe
            from streams.chains.evm_machine import EvmMachine
            from streams.chains.safe import safe_code
            from streams.config import load_settings

            code = safe_code(load_settings().home / "safe")
            return LocalSafe(EvmMachine(31_337, lambda: self.now_ms / 1000), code)
        return open_local(kind)

    # -- the network

    def post(self, message):
        if isinstance(message, Packet):
            for key, value, headers in message.records:
                self.post(codec.Message(message.topic, key, value, headers))
            return
        record = SimpleNamespace(
            offset=len(self.topics[message.topic]),
            timestamp=self.now_ms,
            key=message.key,
            value=message.value,
            headers=[],
        )
        self.topics[message.topic].append(record)
        if message.topic == codec.DEAD_LETTERS:
            self.refused.append(message.value.decode())

    def step(self, actor):
        """One loop of the runner: some records, a tick, the snapshot, then what is sent; or a crash on the way."""
        said, actor.first = list(actor.first), []
        for topic in self.rng.sample(actor.topics, len(actor.topics)):
            records = self.topics[topic][actor.at[topic] :]
            for record in records[: self.rng.randint(1, 50)] if records else []:
                said += actor.machine.take(topic, 0, record)
                if self.rng.random() < self.faults:
                    said += actor.machine.take(topic, 0, record)
                actor.at[topic] += 1
        said += actor.machine.tick(self.now_ms)
        crashes = self.rng.random() < self.faults
        if crashes and self.rng.random() < 0.5:
            actor.restart()  # nothing was kept: all of it is heard again
            return
        actor.keep(said)
        for message in said:
            if not (crashes and self.rng.random() < 0.5):
                self.post(message)
        if crashes:
            actor.restart()

    def pass_time(self, for_ms, step_ms=100):
        until = self.now_ms + for_ms
        while self.now_ms < until:
            self.now_ms += step_ms
            for actor in self.rng.sample(self.actors, len(self.actors)):
                self.step(actor)

    def until(self, request, *states, within_ms=60_000):
        """Where a request stands when it is in one of the states."""
        end = self.now_ms + within_ms
        while self.now_ms < end:
            found = self.status(request.id)
            if found is not None and found.state.value in states:
                return found
            self.pass_time(100)
        raise AssertionError(f"{request.id} is not {states} but {self.status(request.id)}; {self.said(request.id)}")

    # -- people

    def ask(self, on="bitcoin", *, by="shop", **changes):
        self.count += 1
        chain = chain_of(CHAINS[on])
        plain = {
            "id": f"w-{self.count}",
            "kind": Kind.TRANSFER,
            "requester": by,
            "account": "alice",
            "vault": f"alice-{on}",
            "chain": chain.name,
            "asset": chain.asset.symbol,
            "destination": self.stranger(on),
            "amount": str(SOME[on]),
            "requested_ms": self.now_ms,
            "expires_ms": self.now_ms + 60_000,
        }
        request = Request(**{**plain, **changes})
        self.submit(request)
        return request

    def submit(self, request, by=None):
        body = encode(Submit(request)).decode()
        self.post(pen(by or request.requester).write(REQUESTS, request.vault, "request", body))

    def approve(self, request, by, *, approve=True):
        word = Approval(request.id, request.digest(), by, approve)
        signature = SigningKey(seed_of(by)).sign(word.message()).signature.hex()
        signed = Approval(request.id, request.digest(), by, approve, signature)
        self.post(pen(by).write(REQUESTS, request.vault, "request", encode(Approved(signed)).decode()))

    def cancel(self, request, by):
        self.post(pen(by).write(REQUESTS, request.vault, "request", encode(Cancel(request.id, by)).decode()))

    def desk_ask(self, body, by="bob"):
        self.post(pen(by).write(REQUESTS, "desk", "desk", body))

    def fact(self, event):
        from msgspec import json

        self.post(pen("operations").write(ROUNDS, "facts", "fact", json.encode(event).decode()))

    def list_destination(self, kind, number=0):
        """The stranger is on alice's whitelist."""
        address = self.stranger(kind, number)
        self.fact(DestinationListed(f"list-{kind}-{number}", "alice", CHAINS[kind], address, True, 1))
        return address

    def stranger(self, kind, number=0):
        chain = chain_of(CHAINS[kind])
        if kind in {"evm", "safe"}:
            from eth_utils import to_checksum_address

            return to_checksum_address(seeded(("stranger", number))(20))
        return chain.address(dealt(suite_of(chain), 2, (1, 2), seeded(("stranger", kind, number)))[1].public.group)

    # -- to look at

    def letters(self, topic=RELEASES):
        keys = self.roster.keys
        return [open_letter(record.value, keys) for record in self.topics[topic]]

    def said(self, request_id):
        """All that was said of a request to everybody."""
        found = [decode(one.body.encode()) for one in self.letters() if one.about == "request"]
        return [one for one in found if one.request_id == request_id]

    def status(self, request_id):
        found = [one for one in self.said(request_id) if isinstance(one, Status)]
        return found[-1] if found else None

    def paid(self, kind, number=0):
        """What the stranger has, by the chain's own books."""
        from chainworlds import World

        return World(self.nodes[kind], None, 0).has(self.stranger(kind, number))

    def close(self):
        for node in self.nodes.values():
            node.close()
