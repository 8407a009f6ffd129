"""A signer's copy of the audit log: which words in its own name it believes."""

import random

import msgspec
import pytest

from m1cep.custody.audit import AuditLog
from m1cep.custody.heads.witness import Witness
from m1cep.errors import CustodyError


def witness():
    return Witness("custody", 1, "signer-1", lambda: None, random.Random(1).randbytes)


class Log:
    def __init__(self):
        self.log = AuditLog("custody")

    def heard(self, request_id, share):
        message = msgspec.to_builtins({"type": "Share", "request_id": request_id, "share": share})
        return self.log.append("heard", {"from": "signer-1", "message": message}, 1).line()


def test_shares_of_two_attempts_are_both_its_own_whenever_the_log_tells_of_them():
    one, log = witness(), Log()
    one.gave("w-1", b"first attempt", 0)
    one.gave("w-1", b"second attempt", 1)
    one.hear([log.heard("w-1", b"first attempt")], 2)
    one.hear([log.heard("w-1", b"first attempt"), log.heard("w-1", b"second attempt")], 3)
    assert one.copy.broken == ""
    assert one.copy.given == {}


@pytest.mark.parametrize("before", [(), (b"mine",)])
def test_a_share_that_it_did_not_give_breaks_the_log_for_good(before):
    one, log = witness(), Log()
    for share in (b"mine", b"another"):
        one.gave("w-1", share, 0)
    one.hear([log.heard("w-1", share) for share in before], 1)
    with pytest.raises(CustodyError, match="a share in the name of signer-1 that it did not give"):
        one.hear([log.heard("w-1", b"forged")], 2)
    assert "did not give" in one.copy.broken


def test_the_copy_survives_a_restart_with_what_is_owed():
    one, log = witness(), Log()
    one.gave("w-1", b"first", 0)
    one.gave("w-1", b"second", 1)
    one.hear([log.heard("w-1", b"second")], 2)
    kept = msgspec.convert(msgspec.json.decode(msgspec.json.encode(one.snapshot())), type(one.copy), strict=False)
    assert kept == one.copy
    assert [owed.time_ms for owed in kept.given["w-1"]] == [0]
