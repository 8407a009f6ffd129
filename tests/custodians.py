"""Signers as they run, on a log in memory that may double, reorder and drop: rosters, keyfiles, ceremonies, real chains.

The coordinator's part is small here: ``CeremonyWatch``, ``m1cep.custody.requests.Coordinator`` with ``GroupCrypto``, and letters.
"""

import dataclasses
import random
from functools import cache
from types import SimpleNamespace

import msgspec

from m1cep.custody.chains.interface import state_to_json
from m1cep.custody.frost.hidden import Secret
from m1cep.custody.policy import parse_policy
from m1cep.custody.policy.events import VaultBalance
from m1cep.custody.request import Kind, Request
from m1cep.custody.requests import Coordinator, Quorum, decode, encode
from m1cep.custody.requests.messages import (
    Broadcast,
    Commitment,
    MakePlan,
    Planned,
    Share,
    Submit,
    Tick,
    Unable,
    Vote,
)
from streams.custody import watch
from streams.custody.derive import chain_of
from streams.custody.keyfile import Keyfile
from streams.custody.mail import RELEASES, ROUNDS, Pen, open_letter
from streams.custody.roster import Roster, Vault
from streams.custody.shares import GroupCrypto
from streams.custody.signer_machine import SignerMachine, topics
from streams.custody.strongbox import WEAK

CHAINS = {"btc": "bitcoin:regtest", "sol": "solana:local", "eth": "evm:31337"}
START_MS = 1_800_000_000_000
PASSPHRASE = "correct horse"
known_policy = cache(parse_policy)
POLICY = """
version: 1
people: {}
groups: {}
change: {group: officers, count: 2}
rules:
  - name: all
    when: {kinds: [transfer]}
    then: allow
  - name: rest
    then: reject
    reason: not foreseen
""".replace("people: {}", f"people: {{carol: {'ca' * 32}, dave: {'da' * 32}}}").replace(
    "groups: {}", "groups: {officers: [carol, dave]}"
)


class Custodians:
    """Signers 1 to n, each with a keyfile in the folder, and one coordinator that loses nothing."""

    def __init__(self, folder, signers=5, threshold=3, vaults=("btc", "sol", "eth"), seed=0, holders=None):
        self.rng, self.folder, self.now_ms = random.Random(seed), folder, START_MS
        #: Chances that a message is dropped, doubled, or read out of its turn.
        self.lost = self.doubled = self.shuffled = 0.0
        #: What the broker keeps to itself, and for which messages.
        self.held_back, self.is_held_back = [], lambda _message: False
        self.numbers = range(1, signers + 1)
        for number in self.numbers:
            Keyfile.create(self.path(number), number, PASSPHRASE, WEAK).close()
        seeds = {name: Secret(self.rng.randbytes(32)) for name in ("coordinator", "chains")}
        self.pens = {name: Pen(name, seed) for name, seed in seeds.items()}
        holders = tuple(holders or self.numbers)
        shared = {"account": "alice", "signers": holders, "threshold": threshold}
        self.roster = self._roster({vault: Vault(chain=CHAINS[vault], **shared) for vault in vaults})
        self.policy = known_policy(POLICY)
        self.log, self.read, self.saved, self.machines = [], {}, {}, {}
        for number in self.numbers:
            self.begin(number)
        self.publics = {}
        self.group = GroupCrypto(self.roster.vaults, {})
        self.coordinator = Coordinator({}, self.group)
        self.coordinator.handle(Tick(self.now_ms))
        self.watches, self.signatures, self.plans, self.said = [], {}, {}, []

    def path(self, number):
        return self.folder / f"signer-{number}.key"

    def _roster(self, vaults):
        signers = {}
        for number in self.numbers:
            file = Keyfile.open(self.path(number), PASSPHRASE, to_read=True)
            signers[number] = file.identity().verify_key
        keys = {name: pen.verify_key for name, pen in self.pens.items()}
        keys |= {f"signer-{number}": key for number, key in signers.items()}
        return Roster(keys, frozenset({"chains"}), signers, vaults)

    def rename_members(self, vault, signers, threshold):
        """Another roster, at everybody: they start again with it."""
        changed = self.roster.vaults[vault].model_copy(update={"signers": tuple(signers), "threshold": threshold})
        self.roster = dataclasses.replace(self.roster, vaults={**self.roster.vaults, vault: changed})
        for number in self.numbers:
            self.crash(number)

    # -- processes

    def begin(self, number):
        """A signer's process, from what is on its disk."""
        file = Keyfile.open(self.path(number), PASSPHRASE)
        machine = SignerMachine(self.roster, self.policy, file, clock_ms=lambda: self.now_ms)
        self.machines[number] = (machine, file)
        state, self.read[number] = self.saved.get(number, (None, 0))
        if state is not None:
            self.send(machine.load(state))

    def crash(self, number):
        """kill -9, and again."""
        self.machines[number][1].close()
        self.begin(number)

    def signer(self, number):
        return self.machines[number][0]

    def file(self, number):
        return self.machines[number][1]

    # -- messages

    def send(self, messages):
        for message in messages:
            if self.is_held_back(message):
                self.held_back.append(message)
            elif self.rng.random() >= self.lost:
                self.log += [message] * (2 if self.rng.random() < self.doubled else 1)

    def write(self, topic, key, value):
        self.log.append(SimpleNamespace(topic=topic, key=key, value=value, headers=[]))

    def step(self, number):
        """A signer hears one message and says what it has to: after its state was kept."""
        at = self.read[number]
        if at >= len(self.log):
            return False
        if self.rng.random() < self.shuffled and at + 1 < len(self.log):
            self.log[at], self.log[at + 1] = self.log[at + 1], self.log[at]  # for all that have not read it
        message = self.log[at]
        machine = self.signer(number)
        said = []
        if message.topic in topics(number):
            record = SimpleNamespace(offset=at, timestamp=self.now_ms, key=message.key, value=message.value, headers=[])
            said = machine.take(message.topic, 0, record)
        self.read[number] = at + 1
        if said or self.rng.random() < 0.1:
            self.saved[number] = (machine.snapshot(), at + 1)
        self.send(said)
        return True

    def hear(self):
        """The coordinator hears all that it has not heard yet."""
        at, self.read["coordinator"] = self.read.get("coordinator", 0), len(self.log)
        for message in self.log[at:]:
            if message.topic == ROUNDS:
                letter = open_letter(message.value, self.roster.keys)
                if letter.about == "ceremony":
                    for one in self.watches:
                        one.hear(letter)
                elif letter.about == "request" and letter.sender.startswith("signer-"):
                    said = decode(letter.body.encode())
                    if isinstance(said, Vote | Commitment | Share | Unable):
                        self.tell(self.coordinator.handle(said))
        for one in self.watches:
            if one.public is not None and self.publics.get(one.start.vault) != one.public:
                self.follow(one.start.vault, one.public)

    def follow(self, vault, public):
        self.publics[vault] = public
        self.group.set_public(vault, public)
        self.coordinator.set_quorum(vault, Quorum(tuple(public.shares), public.threshold, public.epoch))

    def tell(self, said):
        for one in said:
            self.said.append(one)
            if isinstance(one, MakePlan):
                self.tell(self.coordinator.handle(Planned(one.request.id, self.plans[one.request.vault])))
            elif isinstance(one, Broadcast):
                self.signatures[one.request.id] = one
            else:
                topic = RELEASES if type(one).__name__ in {"Status", "Refused"} else ROUNDS
                name = one.request.id if hasattr(one, "request") else one.request_id
                self.send([self.pens["coordinator"].write(topic, name, "request", encode(one).decode())])

    def run(self, seconds=0, until=None):
        """Let everybody read all, then time pass."""
        for tick in range(seconds * 2 + 1):
            while True:
                order = self.rng.sample(list(self.numbers), len(self.numbers))
                moved = [self.step(number) for number in order]
                self.hear()
                if until is not None and until():
                    return
                if not any(moved):
                    break
            if tick < seconds * 2:
                self.pass_time(500)

    def pass_time(self, ms):
        self.now_ms += ms
        for number in self.numbers:
            machine = self.signer(number)
            said = machine.tick(self.now_ms)
            if said:
                self.saved[number] = (machine.snapshot(), self.read[number])
            self.send(said)
        for one in self.watches:
            self.send(one.tick(self.now_ms, self.pens["coordinator"]))
        self.tell(self.coordinator.handle(Tick(self.now_ms)))

    # -- what is asked for

    def name(self):
        return self.rng.randbytes(32).hex()

    def ceremony(self, vault, previous=None, dealers=(), within_s=60):
        """Start one."""
        until_ms = self.now_ms + within_s * 1_000
        if previous is None:
            start = watch.new_key(self.roster, vault, self.name(), until_ms)
        else:
            start = watch.same_key(self.roster, vault, previous, self.name(), until_ms, dealers)
        self.watches.append(watch.CeremonyWatch(start, self.roster))
        self.send(self.watches[-1].tick(self.now_ms, self.pens["coordinator"]))
        return self.watches[-1]

    def new_key(self, vault):
        """A whole ceremony."""
        going = self.ceremony(vault)
        self.run(20, until=lambda: going.ended)
        self.run()
        assert going.public is not None, going.failed
        return going.public

    def fund(self, vault, node, units):
        """Money into a vault; signers hear of it."""
        key = self.publics[vault].group
        node.open_vault(key)
        node.fund(node.chain.address(key), units)
        node.advance()
        self.look(vault, node)

    def look(self, vault, node):
        """What the chain's software says, to everybody."""
        self.now_ms += 1  # of balances of one time the smallest counts
        key, chain = self.publics[vault].group, chain_of(CHAINS[vault])
        self.plans[vault] = state_to_json(node.state(key))
        fact = VaultBalance(vault, CHAINS[vault], chain.asset.symbol, str(node.balance(key)), self.now_ms)
        self.fact(fact)

    def fact(self, event, pen="chains"):
        self.send([self.pens[pen].write(ROUNDS, "fact", "fact", msgspec.json.encode(event).decode())])

    def request(self, vault, to, amount, **changes):
        chain = chain_of(CHAINS[vault])
        fields = {
            "id": f"r{self.rng.randrange(10**9)}", "kind": Kind.TRANSFER, "requester": "alice", "account": "alice",
            "vault": vault, "chain": CHAINS[vault], "asset": chain.asset.symbol, "destination": to,
            "amount": str(amount), "requested_ms": self.now_ms, "expires_ms": self.now_ms + 600_000,
        }  # fmt: skip
        made = Request(**{**fields, **changes})
        self.tell(self.coordinator.handle(Submit(made)))
        return made
