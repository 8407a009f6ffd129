"""Heads of the audit log, signed by the signers' group: coordinator and signers over topics in memory."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import msgspec
import pytest
from custodyoffice import Office, key_of, pen

from m1cep.custody.audit import AuditLog
from m1cep.custody.heads.messages import AskHead, AskHeadShare, HeadMissing, HeadShare, HeadUnable, decode, encode
from streams.cli import custody_vaults
from streams.custody import asks
from streams.custody.auditing import AuditDesk
from streams.custody.auditor import Auditor
from streams.custody.journal import Journal, read_lines
from streams.custody.mail import LOG, RELEASES, ROUNDS, open_letter
from streams.custody.view import View


@pytest.fixture
def office(tmp_path):
    made = []

    def make(**options):
        one = Office(tmp_path, ("solana",), audit=True, **options)
        made.append(one)
        one.list_destination("solana")
        one.desk_ask(asks.encode(asks.AskFunds("fund", "alice-solana", "5")))
        one.pass_time(8_000)
        return one

    yield make
    for one in made:
        one.close()


def found(here, lines=None):
    here.journal.flush()
    view = View(here.roster)
    for record in here.topics[RELEASES]:
        view.take(record.value)
    return Auditor(here.roster, view).verify(read_lines(here.folder / "audit.jsonl") if lines is None else lines)


def answers(here, kind):
    letters = [one for one in here.letters(ROUNDS) if one.about == "head"]
    return [one for one in (decode(letter.body) for letter in letters) if isinstance(one, kind)]


def test_soon_after_a_release_the_group_has_signed_a_head_behind_it(office):
    here = office()
    request = here.ask("solana")
    here.until(request, "confirmed")
    here.pass_time(10_000)
    lines = read_lines(here.folder / "audit.jsonl")
    states = [n for n, line in enumerate(lines, 1) if b'"kind":"state"' in line and request.id.encode() in line]
    verdict = found(here)
    assert verdict.broken is None
    assert verdict.group_to >= states[-1]
    assert verdict.warning == ""


def test_a_log_written_anew_is_found_though_the_coordinator_signs_all_of_it(office):
    """Whoever has the coordinator's key writes another log and another head of it."""
    here = office()
    here.until(here.ask("solana"), "confirmed")
    here.pass_time(10_000)
    forged = AuditLog("custody")
    entries = [json.loads(line) for line in read_lines(here.folder / "audit.jsonl")]
    lines = [forged.append(one["kind"], {"nothing": "happened"}, one["time_ms"]).line() for one in entries]
    here.topics[RELEASES] = [r for r in here.topics[RELEASES] if b'"audit"' not in r.value]
    here.post(pen("coordinator").write(RELEASES, "custody", "audit", msgspec.json.encode(forged.head).decode()))
    verdict = found(here, lines)
    assert "not the one whose head was signed" in verdict.broken.reason


def test_a_log_without_its_end_is_found(office):
    here = office()
    here.pass_time(10_000)
    whole = found(here)
    lines = read_lines(here.folder / "audit.jsonl")[: whole.group_to - 1]
    assert "a signed head names entry" in found(here, lines).broken.reason


def test_what_is_no_signature_of_the_group_is_a_warning_and_proves_nothing(office):
    here = office()
    here.pass_time(10_000)
    assert found(here).by_group > 0
    for record in here.topics[RELEASES]:
        letter = json.loads(record.value)
        if letter["about"] == "head":
            signed = json.loads(letter["body"])
            signed["head"]["hash"] = "0" * 64
            here.post(pen("coordinator").write(RELEASES, "custody", "head", json.dumps(signed)))
            break
    verdict = found(here)
    assert verdict.broken is None
    assert "not signed by the group's key" in verdict.warning


@pytest.mark.parametrize("away", [1, 2, 3])
def test_one_signer_may_be_away(office, away):
    here = office()
    here.pass_time(10_000)
    before = found(here).group_to
    here.actors.remove(here.signers[away])
    here.until(here.ask("solana"), "confirmed", within_ms=120_000)
    here.pass_time(40_000)
    assert found(here).group_to > before


@pytest.mark.parametrize("seed", range(3))
def test_with_crashes_and_repetitions_heads_go_on_being_signed(office, seed):
    here = office(seed=seed)
    here.faults = 0.1
    for _ in range(3):
        here.ask("solana")
        here.pass_time(20_000, 200)
    here.faults = 0.0
    here.pass_time(150_000, 500)
    verdict = found(here)
    assert verdict.broken is None
    assert verdict.end.seq - verdict.group_to < 20


def test_a_signer_signs_no_head_of_a_log_that_does_not_go_on_from_its_own_copy(office):
    here = office()
    here.pass_time(10_000)
    copy = here.signers[1].machine._witness.copy
    other = AuditLog("custody")
    lines = [other.append("heard", {"n": n}, 1).line() for n in range(copy.head.seq + 3)]
    here.actors.remove(here.coordinator)
    here.post(pen("coordinator").write(LOG, "custody", "log", b"\n".join(lines).decode()))
    here.pass_time(1_000)
    ask = AskHead("custody", 2**50, other.head.seq, other.head.hash, 0, (1, 2))
    here.post(pen("coordinator").write(ROUNDS, "custody", "head", encode(ask)))
    here.pass_time(1_000)
    assert {one.signer for one in answers(here, HeadUnable)} >= {1, 2}
    assert "is not the one that was heard before" in answers(here, HeadUnable)[-1].reason
    here.signers[1].restart()
    assert here.signers[1].machine._witness.copy.broken  # over restarts, until a person has looked


def test_a_signer_signs_no_hash_that_it_is_handed(office):
    here = office()
    here.pass_time(10_000)
    here.actors.remove(here.coordinator)
    head = here.signers[1].machine._witness.copy.head
    ask = AskHead("custody", 2**50, head.seq, "a" * 64, 0, (1, 2))
    here.post(pen("coordinator").write(ROUNDS, "custody", "head", encode(ask)))
    here.pass_time(500)
    assert "another one" in answers(here, HeadUnable)[-1].reason


def test_a_signer_signs_no_log_that_leaves_out_a_share_that_it_gave(office, monkeypatch):
    """The coordinator releases, and does not write down who has signed."""
    here = office()
    desk = here.coordinator.machine._audit
    honest = desk.note
    monkeypatch.setattr(desk, "note", lambda kind, body, ms: None if "Share" in str(body) else honest(kind, body, ms))
    here.until(here.ask("solana"), "confirmed")
    here.pass_time(120_000, 500)
    here.ask("solana")
    here.pass_time(70_000, 500)
    assert any("does not have the shares that I gave for w-1" in one.reason for one in answers(here, HeadUnable))


def test_the_same_question_gets_the_same_share_and_no_second_question_any(office):
    here = office()
    here.pass_time(10_000)
    asked = answers(here, AskHeadShare)[-1]
    given = [one for one in answers(here, HeadShare) if one.attempt == asked.attempt]
    here.actors.remove(here.coordinator)
    here.post(pen("coordinator").write(ROUNDS, "custody", "head", encode(asked)))
    here.pass_time(500)
    again = [one for one in answers(here, HeadShare) if one.attempt == asked.attempt]
    assert len(again) == 2 * len(given)
    assert set(again) == set(given)
    swapped = msgspec.structs.replace(asked, commitments={n: bytes(len(c)) for n, c in asked.commitments.items()})
    here.post(pen("coordinator").write(ROUNDS, "custody", "head", encode(swapped)))
    here.pass_time(500)
    assert len([one for one in answers(here, HeadShare) if one.attempt == asked.attempt]) == len(again)
    assert "given up" in answers(here, HeadUnable)[-1].reason


def test_entries_that_a_signer_missed_come_again_when_it_says_so(office):
    here = office()
    lost = here.signers[1]
    here.actors.remove(lost)
    here.until(here.ask("solana"), "confirmed", within_ms=120_000)
    here.topics[LOG][-1].value = b"lost on its way"
    here.actors.append(lost)
    here.actors.remove(here.signers[2])
    here.pass_time(120_000, 500)
    verdict = found(here)
    assert verdict.end.seq - verdict.group_to < 20


class TestEntriesAgain:
    """What a signer says that it lacks is sent again, within bounds: it may lie."""

    @pytest.fixture
    def desk(self, tmp_path):
        journal = Journal(tmp_path / "audit.jsonl")
        for n in range(40):
            journal.append("heard", {"n": n, "padding": "x" * 60_000}, 5)
        journal.flush()
        yield AuditDesk(journal, pen("coordinator"), by_group=True)
        journal.close()

    def sent(self, desk, now_ms):
        """Numbers of the entries that are published now."""
        found = [open_letter(one.value, {"coordinator": key_of("coordinator")}) for one in desk.tick(now_ms)]
        lines = [line for letter in found if letter.about == "log" for line in letter.body.split("\n")]
        return [json.loads(line)["body"]["n"] for line in lines]

    def lacks(self, desk, signer, after, now_ms):
        body = encode(HeadMissing("custody", 1, signer, after))
        desk.hear(SimpleNamespace(sender=f"signer-{signer}", body=body), now_ms)
        return self.sent(desk, now_ms)

    def test_a_coordinator_without_a_state_sends_nothing_that_nobody_lacks(self, desk):
        assert self.sent(desk, 1_000) == []

    def test_it_comes_in_parts_as_the_signer_gets_further(self, desk):
        first = self.lacks(desk, 1, 0, 10_000)
        assert first == list(range(17)), "a megabyte"
        assert self.lacks(desk, 1, 17, 19_999) == []
        assert self.lacks(desk, 1, 17, 20_000) == list(range(17, 34))
        assert self.lacks(desk, 1, 34, 30_000) == list(range(34, 40))

    def test_what_is_new_meanwhile_is_not_left_out(self, desk):
        desk.note("heard", {"n": 40}, 5)
        assert self.lacks(desk, 1, 0, 10_000) == [*range(17), 40]

    def test_who_gets_no_further_waits_longer_each_time_and_nobody_waits_for_them(self, desk):
        answered = [at_ms for at_ms in range(10_000, 610_000, 10_000) if self.lacks(desk, 1, 0, at_ms)]
        assert answered == [10_000, 20_000, 40_000, 80_000, 160_000, 320_000]
        assert self.lacks(desk, 2, 30, 610_001)


def test_a_transaction_leaves_when_all_that_led_to_it_is_on_the_disk(office, monkeypatch):
    here = office()
    seen = []
    node = here.nodes["solana"]
    whole = node.broadcast

    def broadcast(signed):
        seen.append((len(read_lines(here.folder / "audit.jsonl")), here.journal.head.seq))
        whole(signed)

    monkeypatch.setattr(node, "broadcast", broadcast)
    here.until(here.ask("solana"), "confirmed")
    assert seen
    assert all(on_disk == written for on_disk, written in seen)


def test_the_audit_key_signs_no_release(office):
    here = office()
    request = here.ask("solana", vault="audit")
    here.pass_time(2_000)
    assert "there is no vault audit" in here.said(request.id)[-1].reason


def test_the_log_on_kafka_is_the_coordinators_log(office):
    """What ``m1cep custody audit-copy`` writes, after the coordinator's disk is gone."""
    here = office(seed=1)
    here.faults = 0.1
    here.ask("solana")
    here.pass_time(30_000, 200)
    here.faults = 0.0
    here.pass_time(10_000, 200)
    view = View(here.roster)
    for record in (*here.topics[LOG], *here.topics[RELEASES]):
        view.take(record.value)
    lines = [line for _, line in sorted(view.log.items())]
    here.journal.flush()
    own = read_lines(here.folder / "audit.jsonl")
    assert lines == own[: len(lines)]
    assert len(own) - len(lines) < 10
    assert Auditor(here.roster, view).verify(lines).by_group > 0


def test_a_copy_of_a_log_that_goes_on_waits_for_the_entries_that_a_head_names(office, tmp_path, monkeypatch):
    """Topics are not read at one moment: the head was there, the last entries were not."""
    here = office(seed=1)
    here.ask("solana")
    here.pass_time(30_000, 200)
    here.pass_time(10_000, 200)
    view, late = View(here.roster), [record.value for record in here.topics[LOG]]
    for record in here.topics[RELEASES]:
        view.take(record.value)

    class Counter:
        def __init__(self):
            self.view = view

        def wait(self, holds, _timeout_s):
            while late and not holds(view):
                view.take(late.pop(0))
            return holds(view)

    monkeypatch.setattr(custody_vaults, "roster_of", lambda _: here.roster)
    monkeypatch.setattr(custody_vaults, "counter_for", lambda *_, **__: nullcontext(Counter()))
    custody_vaults.audit_copy(tmp_path / "copy.jsonl", here.folder)
    assert len(read_lines(tmp_path / "copy.jsonl")) >= view.newest_head > 0
