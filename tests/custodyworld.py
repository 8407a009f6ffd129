"""A coordinator, signers, a chain and books of locks, a network between them that loses, doubles, delays, reorders and replays,
and a watch over all of them.

The watch trusts the chain, the books and the calls of the signers' secrets only; it knows nothing of the machines' states. The
cryptography is one-signer Schnorr over a small group: enough for shares to be right or wrong, and for a nonce used twice to give
the key away.
"""

import json
import random
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256

import msgspec

from m1cep.custody.policy import Approval, parse_policy
from m1cep.custody.policy.events import (
    AlertClosed,
    AlertRaised,
    DestinationListed,
    Held,
    HoldAction,
    Lifted,
    LockReturned,
    LockStands,
    Severity,
    Spending,
    Spent,
    VaultBalance,
)
from m1cep.custody.request import Kind, Lock, Request
from m1cep.custody.requests import Coordinator, Quorum, State, Timing, decode, encode
from m1cep.custody.requests.messages import (
    Approved,
    AskCommitment,
    AskShare,
    Broadcast,
    Cancel,
    Commitment,
    Confirmed,
    LockDone,
    LockPlaced,
    MakePlan,
    PlaceLock,
    Planned,
    Propose,
    Refused,
    ReturnLock,
    Seen,
    SettleLock,
    Share,
    Status,
    Submit,
    Tick,
    Unable,
    Void,
    Vote,
)
from m1cep.custody.signer import Signer
from m1cep.errors import CustodyError

# -- a group of prime order

P, Q, G = 4611686018427394499, 2305843009213697249, 4  # P = 2 Q + 1


known_policy = cache(parse_policy)  # a run has a world of its own, and they are hundreds


def number_of(*parts):
    return int.from_bytes(sha256(repr(parts).encode()).digest(), "big") % Q


def challenge(epoch, message, commitments):
    return number_of(epoch, message, sorted(commitments.items()))


def inputs_of(plan):
    """Every third transaction has two."""
    return 2 if number_of("inputs", plan) % 3 == 0 else 1


def messages_of(request, plan):
    """One for each input."""
    return [b"pay " + request.digest().encode() + plan + b" input %d" % n for n in range(inputs_of(plan))]


def split(several):
    return [several[at : at + 8] for at in range(0, len(several), 8)]


class Secrets:
    """What a signer's process holds. Every use of a nonce is noted."""

    def __init__(self, world, number):
        self.world, self.number = world, number
        self.key = number_of("key", number)

    def derive(self, request, plan):
        if not plan.startswith(b"plan"):
            raise CustodyError("expected a plan")
        return messages_of(request, plan)

    def commit(self, _vault, _epoch, count):
        nonces = [self.world.rng.randrange(1, Q) for _ in range(count)]
        return nonces, b"".join(pow(G, nonce, P).to_bytes(8, "big") for nonce in nonces)

    def prepare(self, vault, epoch):
        """Some signers always ask for a first round; what has two inputs needs one."""
        if self.number in self.world.unprepared:
            raise CustodyError("not today")
        return self.commit(vault, epoch, 1)

    def part(self, commitment, count):
        if len(commitment) < 8 * count:
            raise CustodyError("expected more")
        return commitment[: 8 * count]

    def sign(self, _vault, epoch, nonces, messages, commitments):
        if not all(valid_commitment(commitment, len(messages)) for commitment in commitments.values()):
            raise CustodyError("expected points of the group")
        self.world.watch.signs(self.number, messages)
        shares = []
        for nonce, message in zip(nonces[: len(messages)], messages, strict=True):
            c = challenge(epoch, message, commitments)
            self.world.watch.uses(self.number, nonce)
            shares.append((nonce + c * self.key) % Q)
            self.world.watch.transcript.append((self.number, nonce, c, shares[-1]))
        return b"".join(share.to_bytes(8, "big") for share in shares)

    def verify(self, public_key, message, signature):
        return sha256(public_key.encode() + message).hexdigest() == signature


def valid_commitment(commitment, count):
    points = [int.from_bytes(point, "big") for point in split(commitment)]
    return len(commitment) == 8 * count and all(1 < point < P and pow(point, Q, P) == 1 for point in points)


class Group:
    """The group's cryptography, as the coordinator sees it."""

    def commitment_is_valid(self, request, _epoch, plan, _signer, commitment):
        return valid_commitment(commitment, len(messages_of(request, plan)))

    def prepared(self, request, epoch, plan, signer, commitment):
        part = commitment[: 8 * len(messages_of(request, plan))]
        return part if self.commitment_is_valid(request, epoch, plan, signer, part) else None

    def share_is_valid(self, request, epoch, plan, commitments, signer, share):
        messages, public = messages_of(request, plan), pow(G, number_of("key", signer), P)
        if len(share) != 8 * len(messages):
            return False
        parts = zip(messages, split(commitments[signer]), split(share), strict=True)
        return all(
            pow(G, int.from_bytes(z, "big"), P)
            == int.from_bytes(point, "big") * pow(public, challenge(epoch, message, commitments), P) % P
            for message, point, z in parts
        )

    def aggregate(self, _request, epoch, _plan, commitments, shares):
        every = {str(s): [commitments[s].hex(), shares[s].hex()] for s in shares}
        return json.dumps({"epoch": epoch, "shares": every}).encode()


def signature_is_valid(request, plan, signature, threshold):
    content = json.loads(signature)
    commitments = {int(s): bytes.fromhex(c) for s, (c, _) in content["shares"].items()}
    valid = [
        Group().share_is_valid(request, content["epoch"], plan, commitments, int(s), bytes.fromhex(z))
        for s, (_, z) in content["shares"].items()
    ]
    return len(valid) >= threshold and all(valid)


# -- faults and the world

POLICY = """
version: 1
people: {carol: KEY}
groups: {officers: [carol, dave]}
change: {group: officers, count: 2}
rules:
  - name: unknown-destination
    when: {destination_not_listed_for: 1 ms}
    then: reject
    reason: not on the whitelist
  - name: big
    when: {asset: chain/COIN, amount_above: 1000}
    then: approve
    group: officers
    count: 1
  - name: ordinary
    when: {asset: chain/COIN}
    then: allow
  - name: rest
    then: reject
    reason: not foreseen
""".replace("{carol: KEY}", "{carol: " + "ca" * 32 + ", dave: " + "da" * 32 + "}")


@dataclass
class Faults:
    lost: float = 0
    doubled: float = 0
    delay_ms: int = 0  # at most: what is delayed differently is reordered
    replayed: float = 0  # any message that was ever sent
    crash: float = 0
    liars: int = 0  # signers that misbehave, at most n - m
    alerts: float = 0
    refresh: float = 0  # another epoch of the key
    void: float = 0  # the plan is overtaken on the chain
    cancel: float = 0
    thief: float = 0  # somebody who reads all messages makes signatures of shares


NONE = Faults()
TIMING = Timing(confirm_ms=120_000)
START_MS = 1_000_000


class World:
    def __init__(self, seed, faults=NONE, signers=5, threshold=3):
        self.rng = random.Random(seed)
        self.faults, self.now_ms, self.sent = faults, START_MS, 0
        self.quorum = Quorum(tuple(range(1, signers + 1)), threshold, 1)
        self.watch = Watch(self)
        self.policy, self.group = known_policy(POLICY), Group()
        self.unprepared = {s for s in self.quorum.signers if number_of("unprepared", seed, s) % 4 == 0}
        self.secrets = {s: Secrets(self, s) for s in self.quorum.signers}
        self.coordinator = Coordinator(self.quorums, self.group, TIMING)
        self.signers = {s: Signer(s, self.quorums, self.policy, self.secrets[s]) for s in self.quorum.signers}
        self.liars = set(self.rng.sample(self.quorum.signers, min(faults.liars, signers - threshold)))
        self.queue, self.past = [], []
        self.requests, self.forms = {}, {}  # by id what was asked for first; by digest all of it
        self.chain, self.locks, self.plans = Chain(self), {}, 0
        for account in ("a", "b"):
            self.fact(DestinationListed(f"list-{account}", account, "chain", "there", True, 1))
        self.fact(VaultBalance("v", "chain", "COIN", "1000000", 1))

    @property
    def quorums(self):
        return {"v": self.quorum}

    # -- who hears what

    def kept(self, who):
        machine = self.coordinator if who == "coordinator" else self.signers[who]
        return json.dumps(machine.snapshot())

    def hear(self, who, message):
        """Give a machine a message; what it says goes out after its state was kept."""
        machine = self.coordinator if who == "coordinator" else self.signers[who]
        crashes = self.rng.random() < self.faults.crash
        before = self.kept(who) if crashes else ""
        twin = who == "coordinator" and self.rng.random() < 0.1
        said = self.check_twin(message) if twin else machine.handle(message)
        if crashes and self.rng.random() < 0.5:  # before it was kept: the message comes again
            self.crash(who, before)
            self.queue.append((self.now_ms, self.number(), who, message))
            return
        if crashes:
            said = [one for one in said if self.rng.random() < 0.5]  # some were sent before the crash
        for one in said:
            self.watch.heard(one)
            self.send(self.lie(who, one))
        if crashes:
            self.crash(who, self.kept(who))

    def check_twin(self, message):
        """A restored coordinator says the same; a message said twice changes nothing."""
        twin = Coordinator.restore(
            json.loads(json.dumps(self.coordinator.snapshot())), self.quorums, self.group, TIMING
        )
        said = self.coordinator.handle(message)
        assert twin.handle(message) == said, "a restored coordinator says something else"
        after = json.dumps(self.coordinator.snapshot())
        assert json.dumps(twin.snapshot()) == after, "a restored coordinator comes to be another"
        twin.handle(message)
        assert json.dumps(twin.snapshot()) == after, "a message said twice changes something"
        return said

    def crash(self, who, kept):
        kept = json.loads(kept)
        if who == "coordinator":
            self.coordinator = Coordinator.restore(kept, self.quorums, self.group, TIMING)
            for status in self.coordinator.statuses():
                self.watch.heard(status)
                self.send(status)
        else:
            self.signers[who] = Signer.restore(kept, self.quorums, self.policy, self.secrets[who])

    def lie(self, who, message):
        """What a liar says instead."""
        if who not in self.liars:
            return message
        dice = self.rng.random()
        if isinstance(message, Share) and dice < 0.7:
            return msgspec.structs.replace(message, share=self.rng.randbytes(len(message.share)))
        if isinstance(message, Vote) and dice < 0.3:
            return msgspec.structs.replace(message, commitment=self.rng.choice([b"?", pow(G, 5, P).to_bytes(8, "big")]))
        if isinstance(message, Commitment) and dice < 0.5:
            return msgspec.structs.replace(message, commitment=self.rng.choice([b"?", pow(G, 5, P).to_bytes(8, "big")]))
        return message

    # -- the network

    def send(self, message):
        match message:
            case Propose() | Status():
                targets = list(self.quorum.signers)
            case AskCommitment():
                targets = list(message.signers)
            case AskShare():
                targets = list(message.commitments)
            case MakePlan() | Broadcast():
                targets = ["chain"]
            case PlaceLock() | ReturnLock() | SettleLock():
                targets = ["books"]
            case Vote() | Commitment() | Share() | Unable():
                targets = ["coordinator"]
            case Refused():
                return
        for target in targets:
            self.post(target, message)
            self.past.append((target, message))

    def number(self):
        self.sent += 1
        return self.sent

    def post(self, target, message):
        assert decode(encode(message)) == message
        for _ in range(1 + (self.rng.random() < self.faults.doubled)):
            if self.rng.random() >= self.faults.lost:
                self.queue.append(
                    (self.now_ms + self.rng.randint(0, self.faults.delay_ms), self.number(), target, message)
                )

    def deliver(self):
        while due := sorted((entry for entry in self.queue if entry[0] <= self.now_ms), key=lambda entry: entry[:2]):
            for entry in due:
                self.queue.remove(entry)
                self.arrive(entry[2], entry[3])

    def arrive(self, target, message):
        if target == "chain":
            self.chain.take(message)
        elif target == "books":
            self.book(message)
        else:
            self.hear(target, message)

    def tell(self, message):
        """The coordinator hears from outside."""
        self.post("coordinator", message)
        self.past.append(("coordinator", message))

    def fact(self, event):
        """Every signer hears it in the end; topics of facts lose nothing, they delay and repeat."""
        for signer in self.quorum.signers:
            for _ in range(1 + (self.rng.random() < self.faults.doubled)):
                due = self.now_ms + self.rng.randint(0, self.faults.delay_ms)
                self.queue.append((due, self.number(), signer, event))

    # -- the books of the other side

    def book(self, message):
        request = message.request
        state = self.locks.get(request.id)
        match message:
            case PlaceLock():
                if state is None:
                    self.locks[request.id] = "stands"
                    lock = request.lock
                    self.fact(LockStands(request.id, lock.vault, lock.chain, lock.asset, lock.amount, self.now_ms))
                if self.locks[request.id] == "stands":
                    self.tell(LockPlaced(request.id))
            case ReturnLock():
                assert state != "settled", "a lock that was used up is returned"
                self.locks[request.id] = "returned"
                self.fact(LockReturned(request.id, self.now_ms))
                self.tell(LockDone(request.id))
            case SettleLock():
                assert state != "returned", "a lock that was returned is used up"
                self.locks[request.id] = "settled"
                self.tell(LockDone(request.id))

    # -- what happens

    def ask(self, **changes):
        rng = self.rng
        kind = rng.choice([one for one in Kind if one is not Kind.PAYOUT])  # those have locks that were settled
        number = len(self.requests) + 1
        timed = kind in {Kind.TIME_LOCK, Kind.ESCROW}
        plain = {
            "id": f"r{number}",
            "kind": kind,
            "requester": "eve",
            "account": rng.choice(["a", "b"]),
            "vault": "v",
            "chain": "chain",
            "asset": "COIN",
            "destination": rng.choice(["there"] * 9 + ["elsewhere"]),
            "amount": str(rng.choice([1, 7, 1_000, 1_001])),
            "requested_ms": self.now_ms,
            "expires_ms": self.now_ms + rng.choice([15_000, 60_000, 120_000]),
            "not_before_ms": self.now_ms + rng.choice([1, 10_000]) if timed else 0,
            "lock": Lock("w", "other", "TOKEN", "5") if kind is Kind.CROSS_CHAIN else None,
        }
        request = Request(**{**plain, **changes})
        self.requests[request.id] = request
        forms = [request]
        if rng.random() < 0.3:  # the id with other contents
            forms.append(msgspec.structs.replace(request, amount="999"))
        for form in forms:
            self.forms[form.digest()] = form
            self.tell(Submit(form))
        return request

    def approve(self, request, *, approve=True):
        word = Approval(request.id, request.digest(), "carol", approve)
        key = self.policy.people["carol"]
        word = msgspec.structs.replace(word, signature=sha256(key.encode() + word.message()).hexdigest())
        self.tell(Approved(word))

    def refresh(self):
        self.quorum = replace(self.quorum, epoch=self.quorum.epoch + 1)
        self.coordinator.set_quorum("v", self.quorum)
        for signer in self.signers.values():
            signer.set_quorum("v", self.quorum)

    def alert(self):
        number, account = self.number(), self.rng.choice(["a", "b"])
        if self.rng.random() < 0.5:
            self.fact(AlertRaised(f"alert-{number}", "rule", Severity.CRITICAL, account, self.now_ms))
            over = AlertClosed(f"alert-{number}", "carol", self.now_ms)
        else:
            self.fact(Held(f"hold-{number}", HoldAction.FREEZE, account, self.now_ms))
            over = Lifted(f"hold-{number}", "carol", self.now_ms)
        due = self.now_ms + self.rng.randint(0, 30_000)
        self.queue += [(due, self.number(), signer, over) for signer in self.quorum.signers]

    def steal(self):
        """Whoever reads all messages puts shares together."""
        asked = [message for _, message in self.past if isinstance(message, AskShare)]
        if not asked:
            return
        ask = self.rng.choice(asked)
        request = self.forms[ask.digest]
        shares = {
            message.signer: message.share
            for _, message in self.past
            if isinstance(message, Share) and (message.request_id, message.attempt) == (ask.request_id, ask.attempt)
        }
        if set(shares) == set(ask.commitments):
            plan = ask.plan or next(
                m.plan
                for _, m in self.past
                if isinstance(m, AskCommitment) and (m.request_id, m.attempt) == (ask.request_id, ask.attempt)
            )
            signature = self.group.aggregate(request, ask.epoch, plan, ask.commitments, shares)
            if signature_is_valid(request, plan, signature, self.quorum.threshold):
                self.chain.take(Broadcast(request, plan, signature))

    def pass_time(self, ms):
        self.now_ms += ms
        for who in ("coordinator", *self.quorum.signers):
            self.hear(who, Tick(self.now_ms))
        self.chain.step()
        self.deliver()

    def step(self):
        rng, faults = self.rng, self.faults
        self.pass_time(rng.choice([5, 100, 500, 2_500]))
        if rng.random() < 0.1 and len(self.requests) < 8:
            self.ask()
        if self.requests and rng.random() < 0.1:
            self.approve(rng.choice(list(self.requests.values())), approve=rng.random() < 0.9)
        if rng.random() < faults.alerts:
            self.alert()
        if rng.random() < faults.refresh:
            self.refresh()
        if self.requests and rng.random() < faults.cancel:
            self.tell(Cancel(rng.choice(list(self.requests)), "eve"))
        if rng.random() < faults.thief:
            self.steal()
        for _ in range(sum(rng.random() < faults.replayed for _ in range(4))):
            if self.past:
                target, message = rng.choice(self.past)
                self.queue.append((self.now_ms, self.number(), target, message))

    def settle(self):
        """The network is good again: until every request has ended, and the chain has had its say."""
        self.faults = replace(NONE, liars=self.faults.liars)
        for _ in range(100):
            self.pass_time(2_000)
        self.chain.decide()
        for _ in range(200):  # what is said again is said at longer and longer intervals
            self.pass_time(2_000)
        self.watch.rested()


class Chain:
    """Takes signed transactions; of a plan at most one comes to be."""

    def __init__(self, world):
        self.world = world
        self.plans, self.requests, self.pool, self.confirmed, self.dead = {}, {}, {}, {}, set()

    def take(self, message):
        world, request = self.world, message.request
        if isinstance(message, MakePlan):
            world.plans += 1  # the chain has moved on: another plan each time
            self.requests[request.id] = request
            self.plans.setdefault(request.id, set()).add(plan := b"plan %d" % world.plans)
            world.tell(Planned(request.id, plan))
            return
        if not signature_is_valid(request, message.plan, message.signature, world.quorum.threshold):
            raise AssertionError("a signature that does not verify")
        world.watch.broadcast(request, message.plan)
        if request.id not in self.dead and request.id not in self.confirmed:
            self.pool.setdefault(request.id, message.plan)
            world.tell(Seen(request.id, f"tx-{request.id}"))
        elif request.id in self.confirmed:
            world.tell(Confirmed(request.id, f"tx-{request.id}"))
        else:
            world.tell(Void(request.id, "overtaken"))

    def step(self):
        for request_id in list(self.pool):
            if self.world.rng.random() < self.world.faults.void:
                self.end(request_id, dead=True)
            elif self.world.rng.random() < 0.1:
                self.end(request_id, dead=False)

    def decide(self):
        """Everything that has a plan is confirmed or dead, and the coordinator is told again."""
        for request_id in self.plans:
            if request_id not in self.confirmed:
                self.end(request_id, dead=request_id not in self.pool)
            else:
                self.world.tell(Confirmed(request_id, f"tx-{request_id}"))

    def end(self, request_id, *, dead):
        world, plan = self.world, self.pool.pop(request_id, None)
        request = self.requests[request_id]
        if dead:
            self.dead.add(request_id)
            world.tell(Void(request_id, "overtaken"))
        else:
            self.confirmed[request_id] = plan
            world.tell(Confirmed(request_id, f"tx-{request_id}"))
        spent = Spent.RETURNED if dead else Spent.RELEASED
        names = (request.account, request.vault, request.chain, request.asset, request.amount)
        world.fact(Spending(request_id, *names, spent, world.now_ms))


ORDER = [State.REQUESTED, State.APPROVING, State.SIGNING, State.SIGNED, State.BROADCAST]


class Watch:
    """What must never happen, each with its name in the message."""

    def __init__(self, world):
        self.world = world
        self.nonces = set()  # by signer, those that were used
        self.messages = {}  # by signer and request, what was signed for it
        self.transcript = []  # signer, nonce, challenge, share
        self.statuses, self.given, self.broadcasts = {}, {}, {}

    def uses(self, signer, nonce):
        assert (signer, nonce) not in self.nonces, "a nonce was used twice"
        self.nonces.add((signer, nonce))

    def signs(self, signer, messages):
        world = self.world
        request = world.forms.get(messages[0][4:68].decode())
        assert request is not None, "a share for what nobody asked for"
        facts = world.signers[signer].facts
        assert not facts.open_alerts(request.account, Severity.CRITICAL), "signed in spite of an alert"
        assert not facts.holds(request.account), "signed in spite of a hold"
        assert request.destination == "there", "signed for a destination that is not on the whitelist"
        assert request.not_before_ms <= world.now_ms < request.expires_ms, "signed at the wrong time"
        assert request.lock is None or world.locks.get(request.id) == "stands", "released without a lock"
        self.messages.setdefault((signer, request.id), set()).add(tuple(messages))
        assert len(self.messages[signer, request.id]) == 1, "two contents signed under one id"

    def broadcast(self, request, plan):
        self.broadcasts.setdefault(request.id, set()).add(plan)
        assert len(self.broadcasts[request.id]) == 1, "two transactions for one request"
        assert int(request.amount) <= 1_000 or request.id in self.approved(), "released without approval"

    def approved(self):
        return {message.approval.request_id for _, message in self.world.past if isinstance(message, Approved)}

    def heard(self, message):
        match message:
            case Status():
                self.status(message)
            case Commitment():
                key = (message.signer, message.request_id, message.attempt)
                assert self.given.setdefault(key, message) == message, "two commitments in one attempt"
            case Share():
                key = (message.signer, message.request_id, message.attempt, "share")
                assert self.given.setdefault(key, message) == message, "two shares in one attempt"

    def status(self, status):
        assert set(status.excluded) <= self.world.liars, "an honest signer was excluded"
        assert status.reason, "a state without a reason"
        before = self.statuses.get(status.request_id)
        self.statuses[status.request_id] = status
        if before is None:
            return
        if before.state.ended:
            same = status.state is before.state and (before.unresolved or not status.unresolved)
            assert same or (before.unresolved and status.state is State.CONFIRMED), "an end that was none"
        elif not status.state.ended:
            assert ORDER.index(status.state) >= ORDER.index(before.state), "a request went back"
            assert status.attempt >= before.attempt, "an attempt went back"

    def rested(self):
        """Once time has gone on, all has ended and everybody knows the truth."""
        world = self.world
        heard = {r for r in world.requests if r in self.statuses}
        for request_id in heard:
            status, chain = self.statuses[request_id], world.chain
            assert status.state.ended, f"a request without an end: {status}"
            assert not status.unresolved, f"a request that was never resolved: {status}"
            assert (status.state is State.CONFIRMED) == (request_id in chain.confirmed), "not what the chain says"
            lock = world.locks.get(request_id)
            assert lock in {None, "settled" if request_id in chain.confirmed else "returned"}, "a lock was left"
        assert world.coordinator.open == []
        for number, signer in world.signers.items():
            for request in world.requests.values():
                spending = signer.facts.spending(request.id)
                assert spending is None or spending.spent is not Spent.RESERVED, (
                    f"signer {number} holds {request.id} back"
                )
