"""A lost share restored by other signers, over a log in memory."""

import msgspec
import pytest
from custodians import Custodians
from frostworld import dealt, seeded

from m1cep.custody.frost import ED25519
from m1cep.custody.frost.envelope import Envelope, Purpose
from streams.chains.local import open_local
from streams.custody import rites
from streams.custody.mail import signer_topic
from streams.custody.repairwatch import RepairWatch, new_repair
from streams.custody.rites import Enclosed


@pytest.fixture
def here(tmp_path):
    made = Custodians(tmp_path, signers=4, threshold=2, vaults=("sol", "btc"))
    made.new_key("sol")
    return made


def repair(here, lost=2, helpers=(), vault="sol", change=None):
    start = new_repair(here.roster, vault, here.publics[vault], lost, helpers, here.name(), here.now_ms + 60_000)
    watch = RepairWatch(change(start) if change else start, here.roster)
    here.watches.append(watch)
    here.send(watch.tick(here.now_ms, here.pens["coordinator"]))
    here.run(5, until=lambda: watch.ended)
    return watch


def lose(here, number=2, vault="sol"):
    share = here.file(number).held[vault].share
    here.file(number).give_up(vault)
    here.crash(number)
    return share


@pytest.mark.parametrize("vault", ["sol", "btc"])
def test_the_share_is_the_one_that_was_lost(here, vault):
    if vault == "btc":
        here.new_key("btc")
    share = lose(here, vault=vault)
    assert repair(here, vault=vault).done
    held = here.file(2).held[vault]
    assert held.share == share
    assert held.since_ms > 0  # what was asked for before, it may have signed and forgotten


def test_whoever_has_its_share_again_signs_with_it(here):
    node = open_local("solana")
    here.fund("sol", node, 10**9)
    lose(here, 2)
    assert repair(here).done
    for gone in (3, 4):
        lose(here, gone)
    here.now_ms += 1
    request = here.request(
        "sol", node.chain.address(dealt(ED25519, 2, (1, 2), seeded("stranger"))[1].public.group), 10**8
    )
    here.run(5, until=lambda: request.id in here.signatures)
    assert request.id in here.signatures
    node.close()


def test_messages_doubled_and_in_other_orders_change_nothing(here):
    share = lose(here)
    here.doubled, here.shuffled = 0.5, 0.3
    assert repair(here).done
    assert here.file(2).held["sol"].share == share


def test_a_message_that_was_lost_is_said_again(here):
    lose(here)
    here.is_held_back = lambda message: message.topic.startswith("m1cep.custody.signer-") and not here.held_back
    assert repair(here).done
    assert here.held_back


def test_who_holds_its_share_gets_none(here):
    assert "there is nothing to repair" in repair(here).failed


def test_terms_of_another_key_are_refused_by_every_helper(here):
    """A coordinator that lies about the key."""
    here.new_key("btc")
    lose(here)

    def other(start):
        public = msgspec.structs.replace(start, public=here.publics["btc"].encode())
        return msgspec.structs.replace(public, ceremony=rites.repair_name(public))

    assert repair(here, change=other).failed
    assert "sol" not in here.file(2).held


def test_terms_under_the_name_of_others_are_refused(here):
    lose(here)
    changed = repair(here, change=lambda start: msgspec.structs.replace(start, lost=3))
    assert "not that of its terms" in changed.failed


def test_a_helper_that_sends_something_else_is_named(here):
    lose(here)
    liar = here.signer(1)._ceremonies._repairs
    honest = liar.start

    def start(*arguments):
        said = honest(*arguments)
        part = liar._parts[arguments[0].ceremony]
        seal = part._seal

        def lie(purpose, receiver, body):
            seal(
                purpose, receiver, bytes(body[:-1]) + bytes([body[-1] ^ 1]) if purpose is Purpose.REPAIR_PART else body
            )

        part._seal = lie
        return said

    liar.start = start
    assert "signer 1" in repair(here, helpers=(1, 3)).failed


def test_who_restarts_in_the_middle_ends_it_and_it_is_repeated(here):
    share = lose(here)
    start = new_repair(here.roster, "sol", here.publics["sol"], 2, (1, 3), here.name(), here.now_ms + 60_000)
    watch = RepairWatch(start, here.roster)
    here.watches.append(watch)
    here.is_held_back = lambda message: message.topic.endswith("signer-2.v1")
    here.send(watch.tick(here.now_ms, here.pens["coordinator"]))
    here.run()
    here.saved.pop(1, None)
    here.crash(1)
    here.is_held_back = lambda _message: False
    here.run(30, until=lambda: watch.ended)
    assert watch.failed
    assert repair(here, helpers=(1, 3)).done
    assert here.file(2).held["sol"].share == share


def test_the_loser_must_be_of_the_vault(here):
    here.rename_members("sol", (1, 3, 4), 2)
    assert "has no signer 2 for vault sol" in repair(here).failed


def test_parts_and_sums_go_to_their_receivers_own_topics(here):
    lose(here)
    assert repair(here).done
    names = {number: here.roster.signers[number] for number in here.roster.signers}
    seen = set()
    for message in here.log:
        words = rites.decode(msgspec.json.decode(message.value)["body"])
        if isinstance(words, Enclosed):
            envelope = Envelope.open(ED25519, words.envelope, names)
            secret = envelope.purpose in {Purpose.REPAIR_PART, Purpose.REPAIR_SUM}
            seen.add(envelope.purpose)
            if secret:
                assert message.topic == signer_topic(envelope.receiver)
    assert {Purpose.REPAIR_PART, Purpose.REPAIR_SUM} <= seen
