"""Key generation, refresh and change of signers as their processes do it: letters, keyfiles, restarts, lies."""

import json
from types import SimpleNamespace

import pytest
from custodians import CHAINS, PASSPHRASE, Custodians

from m1cep.custody.frost import ceremony as frost
from m1cep.custody.frost.envelope import TO_ALL, Envelope, Purpose
from m1cep.custody.requests import Quorum
from streams.custody import rites
from streams.custody.asks import AskCeremony
from streams.custody.ceremonies import KEEP_CONFIRMED_MS, KEEP_MS, MOST_AT_ONCE
from streams.custody.ceremony import Phase
from streams.custody.keyfile import Keyfile
from streams.custody.mail import ROUNDS, open_letter, signer_topic
from streams.custody.rites import Enclosed, Failed, Start
from streams.custody.strongbox import WEAK
from streams.custody.watch import CeremonyWatch
from streams.custody.watches import Watches


@pytest.fixture
def three(tmp_path):
    """Three signers, of whom two sign, and one vault."""
    return Custodians(tmp_path, signers=3, threshold=2, vaults=("sol",))


def phases(world, going):
    found = {}
    for number in world.numbers:
        known = world.signer(number)._ceremonies.phases().get(going.start.ceremony)
        found[number] = None if known is None else known[1]
    return found


def held(world, vault):
    """By signer the public keys that its share is of."""
    found = {number: world.file(number).held.get(vault) for number in world.numbers}
    return {number: one.share.public for number, one in found.items() if one is not None}


def words(world, at=0):
    """Of all letters about ceremonies."""
    for message in world.log[at:]:
        sealed = json.loads(message.value)
        if sealed["about"] == "ceremony":
            yield message.topic, sealed["from"], rites.decode(sealed["body"])


def check_whole(world, vault, public):
    """All who should hold a share of this key do, all know the same, and nobody else holds one."""
    assert held(world, vault) == dict.fromkeys(public.shares, public)
    for number in public.shares:
        assert world.signer(number)._quorums[vault] == Quorum(tuple(public.shares), public.threshold, public.epoch)
        on_disk = Keyfile.open(world.path(number), PASSPHRASE, to_read=True)
        assert on_disk.held[vault].share.public == public
        assert not on_disk.waiting


@pytest.mark.parametrize("vault", CHAINS)
def test_a_key_of_each_suite_a_refresh_and_other_signers_under_the_same_key(tmp_path, vault):
    world = Custodians(tmp_path, vaults=(vault,), holders=(1, 2, 3, 4), signers=6)
    first = world.new_key(vault)
    check_whole(world, vault, first)
    second = refreshed(world, vault, first)
    assert (second.group, second.epoch) == (first.group, 1)
    assert second.shares != first.shares
    check_whole(world, vault, second)
    world.rename_members(vault, (2, 3, 5, 6), 2)
    third = refreshed(world, vault, second)
    assert (third.group, third.epoch, third.threshold) == (first.group, 2, 2)
    check_whole(world, vault, third)


def refreshed(world, vault, public, **more):
    going = world.ceremony(vault, public, **more)
    world.run(30, until=lambda: going.ended)
    world.run()
    assert going.public is not None, going.failed
    return going.public


@pytest.mark.parametrize("seed", range(6))
def test_it_ends_well_where_messages_are_lost_doubled_and_mixed_up(tmp_path, seed):
    world = Custodians(tmp_path, signers=4, threshold=3, vaults=("sol",), seed=seed)
    world.lost, world.doubled, world.shuffled = 0.25, 0.3, 0.5
    going = world.ceremony("sol", within_s=600)
    world.run(500, until=lambda: len(held(world, "sol")) == 4 and going.ended)
    check_whole(world, "sol", going.public)
    again = world.ceremony("sol", going.public, within_s=600)
    world.run(500, until=lambda: again.ended and all(one.epoch == 1 for one in held(world, "sol").values()))
    check_whole(world, "sol", again.public)


@pytest.mark.parametrize("which", ["new", "refresh"])
def test_a_signer_killed_anywhere_leaves_a_key_or_a_reason_and_the_next_ceremony_is_whole(tmp_path, which):
    ended = set()
    for at in range(14):
        folder = tmp_path / str(at)
        folder.mkdir()
        world = Custodians(folder, signers=3, threshold=2, vaults=("sol",), seed=at)
        before = world.new_key("sol") if which == "refresh" else None
        going = world.ceremony("sol", before)
        for _ in range(at):
            world.step(2)
            world.step(1 + 2 * world.rng.randrange(2))
        world.crash(2)
        world.run(70)
        assert going.ended
        if going.public is not None:
            check_whole(world, "sol", going.public)
            ended.add("key")
            continue
        ended.add("reason")
        assert "signer-2: restarted in the middle" in going.failed
        if before is not None:  # the old shares sign as before
            assert held(world, "sol") == dict.fromkeys((1, 2, 3), before)
        again = world.ceremony("sol", before)
        world.run(20)
        check_whole(world, "sol", again.public)
    assert ended == {"key", "reason"}


def before_it(world, number, happens):
    """Steps until something has happened at a signer; its state of just before."""
    for _ in range(200):
        for other in world.numbers:
            if other != number:
                world.step(other)
        at, state = world.read[number], world.signer(number).snapshot()
        world.step(number)
        if happens():
            return state, at
    raise AssertionError("it did not happen")


def test_a_signer_killed_between_storing_its_share_and_keeping_its_state_goes_on_from_the_keyfile(three):
    going = three.ceremony("sol")
    three.saved[2] = before_it(three, 2, lambda: three.file(2).waiting)
    three.crash(2)
    assert phases(three, going)[2] is Phase.CONFIRMED
    three.run(10)
    check_whole(three, "sol", going.public)


def test_a_signer_killed_between_activating_its_share_and_keeping_its_state_is_done(three):
    going = three.ceremony("sol")
    three.saved[2] = before_it(three, 2, lambda: three.file(2).held)
    three.crash(2)
    assert phases(three, going)[2] is Phase.DONE
    three.run(10)
    check_whole(three, "sol", going.public)


def test_what_comes_before_its_ceremony_begins_is_not_lost(three):
    three.is_held_back = lambda message: b"Start" in json.loads(message.value)["body"].encode()
    going = three.ceremony("sol")
    three.is_held_back = lambda _message: False
    [start] = three.held_back
    for number in (1, 2):
        three.send(three.signer(number).take(ROUNDS, 0, as_record(start)))
    three.run()
    three.crash(3)  # over a restart as well
    three.send(three.signer(3).take(ROUNDS, 0, as_record(start)))  # the others are not asked again
    three.run()  # without the time in which everything is said again
    check_whole(three, "sol", going.public)


def test_a_confirmed_share_waits_for_the_last_confirmation_over_restarts_and_beyond_the_time(three):
    def confirms(message):
        sealed = json.loads(message.value)
        if (sealed["from"], sealed["about"]) != ("signer-2", "ceremony"):
            return False
        said = rites.decode(sealed["body"])
        return isinstance(said, Enclosed) and said.envelope[2] == Purpose.CONFIRMATION

    three.is_held_back = confirms
    going = three.ceremony("sol")
    three.run(70)
    assert "not finished in time: confirmation of signers 2 did not come" in going.failed
    three.crash(1)
    three.crash(3)
    assert phases(three, going)[1] is phases(three, going)[3] is Phase.CONFIRMED
    three.is_held_back = lambda _message: False
    three.send(three.held_back)
    three.run(5)
    assert going.public is not None  # it was late, and came to its end all the same
    check_whole(three, "sol", going.public)


def test_a_silent_signer_is_named_and_nothing_has_changed(three):
    going = three.ceremony("sol")
    for _ in range(140):
        while three.step(1) or three.step(2):
            three.hear()
        three.pass_time(500)
    assert "the first round of signers 3 did not come" in going.failed
    assert held(three, "sol") == {}
    assert phases(three, going)[1] is Phase.FAILED


def test_a_signer_that_missed_a_refresh_gets_a_share_again_with_the_next(three):
    before = three.new_key("sol")
    saved = three.path(3).read_bytes()
    now = refreshed(three, "sol", before, dealers=(1, 2))
    three.file(3).close()
    three.path(3).write_bytes(saved)  # an old copy was put back
    three.saved.pop(3)
    three.begin(3)
    assert held(three, "sol")[3].epoch == 0
    last = refreshed(three, "sol", now, dealers=(1, 2))
    check_whole(three, "sol", last)


# -- what signers do not do


def start_of(world, **changes):
    fields = {
        "ceremony": world.name(), "vault": "sol", "threshold": 2, "receivers": (1, 2, 3), "dealers": (1, 2, 3),
        "expires_ms": world.now_ms + 60_000,
    }  # fmt: skip
    return Start(**{**fields, **changes})


def say(world, one, sender="coordinator", topic=ROUNDS):
    at = len(world.log)
    pen = world.pens.get(sender) or world.signer(int(sender[7:]))._pen
    world.send([pen.write(topic, "sol", "ceremony", rites.encode(one))])
    world.run()
    return [(who, said) for _, who, said in words(world, at + 1)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"threshold": 3}, "the roster says of vault sol: 2 of signers 1, 2, 3; the ceremony is for 3 of"),
        ({"receivers": (1, 2), "dealers": (1, 2)}, "the ceremony is for 2 of signers 1, 2"),
        ({"receivers": (1, 2, 3, 4)}, "the ceremony is for 2 of signers 1, 2, 3, 4"),
        ({"dealers": (1, 2)}, "all who receive must deal"),
        ({"dealers": (1, 2, 9)}, "no signers 9"),
        ({"vault": "gold"}, "no vault gold"),
        ({"previous": b"\x03\x01"}, "public keys"),
    ],
)
def test_terms_other_than_the_rosters_are_refused_by_everybody_with_the_reason(three, changes, reason):
    said = say(three, start_of(three, **changes))
    assert {who for who, _ in said} == {"signer-1", "signer-2", "signer-3"}
    assert all(isinstance(one, Failed) and reason in one.reason for _, one in said)


def test_only_the_coordinator_starts_ceremonies(three):
    assert say(three, start_of(three), sender="signer-1") == []
    assert not three.signer(2)._ceremonies.phases()


def test_a_ceremony_of_the_past_is_not_begun_when_it_is_read_again(three):
    assert say(three, start_of(three, expires_ms=three.now_ms)) == []


def test_a_vault_with_a_key_gets_no_second_one(three):
    three.new_key("sol")
    said = say(three, start_of(three))
    assert all("has a key already" in one.reason for _, one in said)
    assert len(said) == 3


def test_a_ceremony_has_a_day_at_most_and_a_vault_not_more_than_it_can_remember(three):
    said = say(three, start_of(three, expires_ms=three.now_ms + KEEP_MS + 1))
    assert all("a day at most" in one.reason for _, one in said)
    three.is_held_back = lambda message: b"signer-3" in message.value
    for _ in range(MOST_AT_ONCE):
        said = say(three, start_of(three))
        assert not [one for _, one in said if isinstance(one, Failed)]
    said = say(three, start_of(three))
    assert {one.reason for _, one in said if isinstance(one, Failed)} == {
        "16 ceremonies of vault sol have not ended yet"
    }


def test_a_confirmed_share_for_which_nobody_waits_any_more_is_deleted(three):
    going = three.ceremony("sol")
    liar = Liar(three, going)
    liar.first()
    sealed = frost.round_two(liar.terms, liar.dealing, going._looks.first_round(), three.rng.randbytes)
    liar.say(liar.enclosed(Purpose.SEALED_SHARE, sealed[1], 1), signer_topic(1))
    assert list(three.file(1).waiting) == [going.start.ceremony]
    three.signer(1).tick(three.now_ms + 60_000 + KEEP_CONFIRMED_MS - 1)
    assert three.file(1).waiting
    three.signer(1).tick(three.now_ms + 60_000 + KEEP_CONFIRMED_MS)
    assert not three.file(1).waiting


def test_sources_of_facts_have_no_part_in_ceremonies(three):
    going = three.ceremony("sol")
    three.run(until=lambda: len(going._looks.heard) == 1)
    said = Enclosed(three.name(), b"early")
    before = three.signer(1).snapshot()
    message = three.pens["chains"].write(ROUNDS, "sol", "ceremony", rites.encode(said))
    assert three.signer(1).take(ROUNDS, 0, as_record(message)) == []
    assert three.signer(1).snapshot() == before


def as_record(message):
    return SimpleNamespace(offset=0, timestamp=0, key=b"", value=message.value, headers=[])


def test_one_name_with_two_sets_of_terms_is_refused(three):
    first = start_of(three)
    say(three, first)
    at = len(three.log)
    say(three, start_of(three, ceremony=first.ceremony, expires_ms=first.expires_ms + 1))
    assert not list(words(three, at + 1))


def test_a_refresh_of_a_key_that_is_not_the_vaults_is_refused(three, tmp_path):
    three.new_key("sol")
    (tmp_path / "other").mkdir()
    other = Custodians(tmp_path / "other", signers=3, threshold=2, vaults=("sol",), seed=9)
    stranger = other.new_key("sol")
    said = say(three, start_of(three, previous=stranger.encode(), dealers=(1, 2)))
    assert all("another key of vault sol" in one.reason for _, one in said)
    assert len(said) == 3


def test_shares_that_signers_leave_behind_are_deleted_and_who_never_held_one_is_not_asked(tmp_path):
    world = Custodians(tmp_path, signers=6, threshold=2, vaults=("sol",), holders=(1, 2, 3))
    first = world.new_key("sol")
    world.rename_members("sol", (4, 5), 2)
    going = world.ceremony("sol", first)
    assert going.start.dealers == (1, 2)
    world.run(10)
    check_whole(world, "sol", going.public)  # 3, who dealt nothing, has deleted its share as well
    assert phases(world, going)[6] is None


def test_what_was_said_in_another_ceremony_or_epoch_changes_nothing(three):
    first = three.new_key("sol")
    past = list(three.log)
    second = refreshed(three, "sol", first)
    going = three.ceremony("sol", second)
    for message in past * 2:
        three.log.insert(three.rng.randrange(max(three.read[n] for n in three.numbers), len(three.log) + 1), message)
    three.run(10)
    assert going.public.epoch == 2
    check_whole(three, "sol", going.public)


class Liar:
    """Takes part as signer 3 by hand."""

    def __init__(self, world, going):
        self.world, self.terms = world, going._looks.terms
        self.name, self.identity = going.start.ceremony, world.file(3).identity()
        self.dealing, self.said = frost.round_one(self.terms, 3, world.rng.randbytes)

    def enclosed(self, purpose, body, receiver=TO_ALL):
        made = Envelope(purpose, bytes.fromhex(self.name), self.terms.epoch, 3, receiver, body)
        return Enclosed(self.name, made.seal(self.terms.suite, self.identity))

    def say(self, one, topic=ROUNDS):
        pen = self.world.signer(3)._pen
        self.world.send([pen.write(topic, "sol", "ceremony", rites.encode(one))])
        self.run()

    def run(self):
        while self.world.step(1) or self.world.step(2):
            self.world.hear()

    def first(self):
        self.say(self.enclosed(Purpose.ROUND_ONE, self.said.encode(self.terms.suite)))


def test_who_says_two_different_things_is_named(three):
    going = three.ceremony("sol")
    liar = Liar(three, going)
    liar.first()
    _, other = frost.round_one(liar.terms, 3, three.rng.randbytes)
    liar.say(liar.enclosed(Purpose.ROUND_ONE, other.encode(liar.terms.suite)))
    assert "signer 3" in going.failed
    assert held(three, "sol") == {}


def test_who_deals_what_does_not_fit_is_named_by_whom_it_was_dealt_to(three):
    going = three.ceremony("sol")
    liar = Liar(three, going)
    liar.first()
    first = going._looks.first_round()
    assert first is not None
    sealed = frost.round_two(liar.terms, liar.dealing, first, three.rng.randbytes)
    liar.say(liar.enclosed(Purpose.SEALED_SHARE, sealed[1], 1), signer_topic(1))
    liar.say(liar.enclosed(Purpose.SEALED_SHARE, sealed[1], 2), signer_topic(2))  # sealed for another
    assert going.failed.startswith("signer-2: in the second round")
    assert "signer 3" in going.failed
    assert phases(three, going)[2] is Phase.FAILED


def test_who_confirms_something_else_makes_the_ceremony_void_for_all(three):
    going = three.ceremony("sol")
    liar = Liar(three, going)
    liar.first()
    sealed = frost.round_two(liar.terms, liar.dealing, going._looks.first_round(), three.rng.randbytes)
    for number in (1, 2):
        liar.say(liar.enclosed(Purpose.SEALED_SHARE, sealed[number], number), signer_topic(number))
    liar.say(liar.enclosed(Purpose.CONFIRMATION, frost.confirm(liar.identity, bytes(32))))
    assert phases(three, going)[1] is Phase.FAILED
    assert held(three, "sol") == {}
    assert "signer 3 has confirmed other messages" in going.failed
    assert going.public is None


def test_a_signer_that_fails_out_of_spite_does_not_make_the_watch_overlook_the_key(three):
    going = three.ceremony("sol")
    say(three, Failed(going.start.ceremony, "I do not like it"), sender="signer-1")
    three.run(5)
    assert "I do not like it" in going.failed
    assert going.public is not None
    check_whole(three, "sol", going.public)


def test_a_stranger_to_the_ceremony_cannot_make_it_fail(tmp_path):
    world = Custodians(tmp_path, signers=4, threshold=2, vaults=("sol",), holders=(1, 2, 3))
    going = world.ceremony("sol")
    say(world, Failed(going.start.ceremony, "no"), sender="signer-4")
    assert not going.failed


# -- what is kept


def test_no_secret_is_in_the_state_of_a_signer_whenever_it_is_kept(three):
    three.ceremony("sol")
    seen = []
    for _ in range(60):
        for number in three.numbers:
            three.step(number)
            machine = three.signer(number)
            part = next(iter(machine._ceremonies._parts.values()), None)
            secrets = [three.file(number).seed.reveal()]
            if part is not None and part._dealing is not None:
                secrets += [one.reveal() for one in part._dealing._coefficients]
                secrets.append(bytes(part._dealing.box._private))
            secrets += [one.share.secret.reveal() for one in three.file(number).held.values()]
            secrets += [one.pending._share.secret.reveal() for one in three.file(number).waiting.values()]
            seen.append(len(secrets))
            assert not any(secret in machine.snapshot() for secret in secrets)
    assert max(seen) >= 3


def test_a_watch_goes_on_after_a_restart(three):
    going = three.ceremony("sol")
    three.run(until=lambda: len(going._looks.heard) == 4)
    assert not going.ended
    three.watches = [CeremonyWatch.restore(going.snapshot(), three.roster)]
    three.run(5)
    assert three.watches[0].public is not None
    assert CeremonyWatch.restore(three.watches[0].snapshot(), three.roster).public == three.watches[0].public


def test_ceremonies_are_forgotten_a_day_after_their_time(three):
    three.new_key("sol")
    three.pass_time(60_000 + KEEP_MS)
    assert not three.signer(1)._ceremonies.phases()
    check_whole(three, "sol", three.publics["sol"])


@pytest.mark.parametrize("ends", [True, False])
def test_signers_start_again_with_the_new_key_of_one_who_took_part_in_a_ceremony_that_they_remember(three, ends):
    """Signer 3 has lost its keyfile: a new one, its new line in everybody's roster, all restarted (docs/custody-running.md)."""
    if not ends:
        three.is_held_back = lambda message: b'"signer-1"' in message.value  # what is under way then is given up
    three.new_key("sol") if ends else three.ceremony("sol")
    three.run(2)
    for number in three.numbers:
        three.saved[number] = (three.signer(number).snapshot(), three.read[number])
    three.file(3).close()
    three.path(3).unlink()
    Keyfile.create(three.path(3), 3, PASSPHRASE, WEAK).close()
    three.saved.pop(3)
    three.roster = three._roster(three.roster.vaults)
    three.watches = []
    for number in three.numbers:
        three.crash(number)
    three.run(5)
    assert ("sol" in three.file(1).held) is ends
    if not ends:
        three.is_held_back = lambda _message: False
        check_whole(three, "sol", three.new_key("sol"))


@pytest.mark.parametrize(("kind", "change"), [("keygen", "another key"), ("keygen", "gone"), ("repair", "gone")])
def test_a_coordinator_starts_again_with_another_roster_and_the_ceremony_under_way_has_failed(three, kind, change):
    ask = AskCeremony("a1", kind, "sol", signer=3 if kind == "repair" else 0)
    public = three.new_key("sol") if kind == "repair" else None
    before = Watches(three.roster, three.pens["coordinator"], three.rng.randbytes)
    before.begin(ask, public, three.now_ms)
    three.send(before.look(three.now_ms).messages)
    three.is_held_back = lambda message: b'"signer-1"' in message.value
    three.run(1)
    for message in three.log if kind == "keygen" else ():
        before.hear(open_letter(message.value, three.roster.keys))
    kept = before.snapshot()
    three.file(3).close()
    three.path(3).unlink()
    Keyfile.create(three.path(3), 3, PASSPHRASE, WEAK).close()
    vaults = three.roster.vaults
    three.roster = three._roster(vaults if change == "another key" else {})
    after = Watches(three.roster, three.pens["coordinator"], three.rng.randbytes)
    after.load(kept)
    stands = after.look(three.now_ms).stands
    assert [(one.id, one.state) for one in stands] == [("a1", "failed")]
    assert "roster" in stands[0].reason
    assert after.look(three.now_ms).stands == []
    after.load(after.snapshot())
    assert after.look(three.now_ms).stands == []
