"""Any bytes, and valid messages with something changed, into each parser of custody: a value that says the same, or a refusal."""

import json
import os

import msgspec
import pytest
from custodyoffice import CHAINS, key_of, pen, policy_text
from frostworld import dealt, seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from m1cep.custody.audit import AuditLog, Entry, Head, follow, origin
from m1cep.custody.chains.bitcoin.chain import BitcoinState
from m1cep.custody.chains.interface import state_from_json, state_to_json
from m1cep.custody.chains.named import chain_named
from m1cep.custody.frost import ED25519
from m1cep.custody.heads import messages as heads
from m1cep.custody.policy import Approval, ChangeApproval, parse_policy
from m1cep.custody.policy.events import LockStands, VaultBalance, parse_fact
from m1cep.custody.policy.records import of_account, of_action, of_alert
from m1cep.custody.request import Kind, Lock, Request, parse_request
from m1cep.custody.requests import decode, encode
from m1cep.custody.requests.messages import Approved, AskCommitment, AskShare, Propose, Status, Submit, Vote, Word
from m1cep.errors import CustodyError, M1cepError
from streams.custody import asks, board, bookings, policies, reserving, rites
from streams.custody.auditing import parse_head
from streams.custody.backup import Check, back_up
from streams.custody.mail import ROUNDS, open_letter, outside

CASES = int(os.environ.get("M1CEP_CASES", "60"))
DIGEST, NAME = "ab" * 32, "cd" * 32
LOCK = Lock("alice-bitcoin", CHAINS["bitcoin"], "BTC", "5", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080")
REQUEST = Request(
    "w-1", Kind.CROSS_CHAIN, "shop", "alice", "alice-evm", CHAINS["evm"], "ETH", "0x" + "1" * 40, "7", 1, 100, lock=LOCK,
    memo="for Ann",
)  # fmt: skip
APPROVAL = Approval("w-1", REQUEST.digest(), "bob", True, "ab")
VOTE = Vote("w-1", DIGEST, 2, Word.WAIT, 3, "lock", "nothing yet", DIGEST)
STATUS = Status("w-1", DIGEST, "signing", 2, "attempt", 5, excluded={3: "lied"})
HEAD = Head("custody", 7, DIGEST, 9)
LINES = [AuditLog("custody").append("heard", {"from": "signer-1", "n": 1}, 5).line()]
SHARE = dealt(ED25519, 2, (1, 2, 3), seeded("parsers"))[1]
RESERVE = asks.encode(asks.ReserveStands("r", "v", "c", "SOL", "x", "ed25519", "ab", "ab" * 64, DIGEST, 5))
SAFE = asks.encode(asks.SafeStands("r", "v", "c", "ETH", "x", 1, ("0x" + "ab" * 20,), ("ab" * 65,), DIGEST, 5))
ALERT = {
    "id": "a",
    "rule": "r",
    "severity": "high",
    "key": {"account": "alice"},
    "row": {},
    "event_time": 1,
    "events": [],
}
ACTION = {"id": "a", "action": "freeze_account", "account": "x", "event_time_ms": 1}
ROW = {"account": "alice", "kind": "password_changed", "event_id": "e", "ts": 5}


def entry(line):
    found = follow(Head("custody", 0, origin("custody"), 0), line)
    if isinstance(found, Entry):
        return found
    raise CustodyError(found.reason)


def record(parse):
    """A record of the platform's topics, as signers read it."""

    def read(data):
        try:
            row = json.loads(data)
        except (ValueError, RecursionError):
            raise CustodyError("no JSON") from None
        if not isinstance(row, dict):
            raise CustodyError("no object")
        return parse(row)

    return read


def body(message):
    return json.loads(message.value)["body"]


def plain(message):
    return json.dumps(msgspec.to_builtins(message, str_keys=True))


BITCOIN = chain_named("bitcoin:regtest")
#: What is read, how, by examples; and how it is written again, where it is.
PARSERS = {
    "request": (parse_request, [plain(REQUEST)], plain),
    "message about a request": (
        decode,
        [
            encode(one)
            for one in (
                Submit(REQUEST), Approved(APPROVAL), Propose(REQUEST, 1, (APPROVAL,)), VOTE, STATUS,
                AskCommitment("w-1", DIGEST, 0, 1, b"plan", (1, 2)), AskShare("w-1", DIGEST, 0, 1, {1: b"a", 2: b"b"}),
            )
        ],
        encode,
    ),
    "fact": (
        parse_fact,
        [plain(VaultBalance("v", "c", "BTC", "5", 1)), plain(LockStands("w-1", "v", "c", "BTC", "5", 1, "somebody"))],
        plain,
    ),
    "alert": (record(lambda row: of_alert(row, 5)), [json.dumps(ALERT)], None),
    "action": (record(of_action), [json.dumps(ACTION)], None),
    "account": (record(lambda row: of_account(row, {"BTC": "bitcoin:regtest"})), [json.dumps(ROW)], None),
    "policy": (parse_policy, [policy_text()], None),
    "letter": (
        lambda data: open_letter(data, {"shop": key_of("shop")}),
        [pen("shop").write(ROUNDS, "k", "request", "{}").value],
        None,
    ),
    "outside of a letter": (outside, [pen("shop").write(ROUNDS, "k", "request", "{}").value], None),
    "words of a ceremony": (
        rites.decode,
        [
            rites.encode(one)
            for one in (
                rites.Start(NAME, "sol", 2, (1, 2), (1, 2), 5), rites.Enclosed(NAME, b"envelope"), rites.RepairDone(NAME),
                rites.RepairStart(NAME, "sol", 2, (1, 3), 5, b"public", NAME), rites.Failed(NAME, "why"),
            )
        ],
        rites.encode,
    ),
    "ask": (
        asks.parse_ask,
        [asks.encode(asks.AskCeremony("a", "repair", "sol", 2, (1, 3))), asks.encode(asks.AskFunds("f", "sol", "0.5"))],
        asks.encode,
    ),
    "answer to an ask": (
        asks.parse_said,
        [asks.encode(asks.Answered("a", True, "done")), asks.encode(asks.AuditStands(DIGEST, 1, 2, (1, 2))), RESERVE, SAFE],
        asks.encode,
    ),
    "message about a head": (
        heads.decode,
        [
            heads.encode(one)
            for one in (
                heads.AskHead("custody", 1, 7, DIGEST, 0, (1, 2)), heads.HeadCommitment("custody", 1, 2, b"commitment"),
                heads.AskHeadShare("custody", 1, {1: b"a", 2: b"b"}), heads.HeadShare("custody", 1, 2, b"share"),
                heads.HeadUnable("custody", 1, 2, "why"), heads.HeadMissing("custody", 1, 2, 0),
                heads.AskReserve("sol", 1, 0, (1, 2), "letter"),
            )
        ],
        heads.encode,
    ),
    "ask for a reserve": (
        reserving.parse_ask,
        [reserving.encode_ask(reserving.ReserveAsk("r", "sol", "SOL", DIGEST, 5))],
        reserving.encode_ask,
    ),
    "signed head": (heads.decode_signed, [heads.encode(heads.SignedHead(HEAD, "ab" * 64))], heads.encode),
    "head": (parse_head, [plain(HEAD)], plain),
    "entry of the audit log": (entry, LINES, lambda one: one.line()),
    "words about a policy": (
        policies.decode,
        [
            policies.encode(one)
            for one in (
                policies.ProposePolicy("text", ChangeApproval(DIGEST, NAME, "bob", "ab")),
                policies.ChangePolicy("text", (ChangeApproval(DIGEST, NAME, "bob", "ab"),)),
                policies.HoldsPolicy(1, DIGEST, 2), policies.PolicyStands(DIGEST, 2, {NAME: ("bob",)}),
            )
        ],
        policies.encode,
    ),
    "booking": (
        bookings.parse_booking,
        [
            plain(bookings.Deposited("d/1", "v", "a", 1, "c", "BTC", "5")),
            plain(bookings.Freed("f/1", "v", "a", 1, "w-1")),
            plain(bookings.PaidOut("p/1", "v", "a", 1, "c", "BTC", "5", "w-1", "0")),
        ],
        plain,
    ),
    "request as it stands": (board.decode, [plain(board.RequestStands(REQUEST, STATUS, (VOTE,), (APPROVAL,)))], plain),
    "facts of a chain": (
        lambda data: state_from_json(BITCOIN, data),
        [state_to_json(BitcoinState(coins=(), fee_rate=5))],
        state_to_json,
    ),
    "address": (BITCOIN.destination, ["bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"], None),
    "amount": (BITCOIN.asset.parse, ["0.015", "21"], None),
    "chain": (chain_named, ["evm:31337", "solana:local"], None),
    "check of a backup": (Check.decode, [back_up("sol", SHARE, 2, 3, "").check.encode()], lambda check: check.encode()),
}  # fmt: skip
#: Those that read text are given text.
TEXT = {
    "policy",
    "words of a ceremony",
    "ask",
    "ask for a reserve",
    "answer to an ask",
    "message about a head",
    "signed head",
    "head",
    "address",
}
TEXT |= {"booking", "words about a policy", "request as it stands", "amount", "chain"}

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20), st.just([]), st.just({}),
    st.just([[[[]]]]), st.just("0" * 300),
)  # fmt: skip


def as_given(name, data):
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    if name in TEXT:
        return text
    return text.encode("utf-8", "surrogatepass") if isinstance(data, str) else data


def is_read_or_refused(name, data):
    parse, _, write = PARSERS[name]
    given = as_given(name, data)
    try:
        found = parse(given)
    except M1cepError:
        return
    if write is not None:
        assert parse(as_given(name, write(found))) == found


@pytest.mark.parametrize("name", PARSERS)
def test_examples_are_read(name):
    """So that what follows changes something that is valid."""
    parse, examples, write = PARSERS[name]
    for example in examples:
        found = parse(as_given(name, example))
        assert found is not None
        if write is not None:
            again = write(found)
            assert parse(as_given(name, again)) == found


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=CASES, deadline=None)
@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_anything(name, data):
    is_read_or_refused(name, data)


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=CASES, deadline=None)
@given(data=st.data())
def test_a_valid_one_with_bytes_changed(name, data):
    example = data.draw(st.sampled_from(PARSERS[name][1]))
    raw = bytearray(example.encode() if isinstance(example, str) else example)
    at = data.draw(st.integers(0, len(raw) - 1))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    for changed in (bytes(raw), bytes(raw[:at]), bytes(raw[:at] + raw[at + 1 :]), bytes(raw[at:] + raw[:at])):
        is_read_or_refused(name, changed)


@pytest.mark.parametrize("name", [name for name, one in PARSERS.items() if str(one[1][0])[:2] in {'{"', "b'"}])
@settings(max_examples=CASES, deadline=None)
@given(data=st.data())
def test_a_valid_one_with_a_field_changed(name, data):
    example = data.draw(st.sampled_from(PARSERS[name][1]))
    tree = json.loads(example)
    where, path = tree, []
    while isinstance(where, dict | list) and where and (not path or data.draw(st.booleans())):
        key = data.draw(st.sampled_from(sorted(where) if isinstance(where, dict) else list(range(len(where)))))
        path.append((where, key))
        where = where[key]
    inside, key = path[-1]
    how = data.draw(st.sampled_from(["other", "gone", "more"]))
    if how == "other":
        inside[key] = data.draw(LEAVES)
    elif how == "gone":
        del inside[key]
    elif isinstance(inside, dict):
        inside["more"] = data.draw(LEAVES)
    else:
        inside.extend(inside)
    is_read_or_refused(name, json.dumps(tree).encode())


def test_what_is_nested_without_end_is_refused_by_each():
    for name, (parse, _, _) in PARSERS.items():
        for deep in ("[" * 100_000, '{"a":' * 100_000):
            if name == "outside of a letter":
                assert parse(as_given(name, deep)) is None
                continue
            with pytest.raises(M1cepError):
                parse(as_given(name, deep))
