"""What can be made to go wrong inside a process of custody (``sabotage.py``: ``custody=...``).

die:STEP:WHAT      kill -9 of itself when it is about to say WHAT for the first time: a message such as Vote, or Status.confirmed
    heard              it has worked it out, nothing is saved
    saved              its state is saved, nothing is sent
    sent               the broker has all that was to be said
    chain              (of the coordinator, WHAT is Broadcast) the signature is made, the chain has nothing of it yet
drop:WHAT          the first such letter is lost on the way to the broker, though the sender believes it is there
double:WHAT        every such letter is sent twice
unprepared         votes come without commitments, so that the first attempt has two rounds
nonces:FILE        every use of a nonce is written down: for the oracle
mutant=NAME        a safeguard is taken away: see ``MUTANTS``; the suite must notice
"""

import json
import os
import signal
from pathlib import Path


def apply(text):
    """Make it so in this process."""
    kind, *more = text.split(":", 1)
    _KINDS[kind](*more)


def what(message):
    """What a message on its way to Kafka is; of those that are no letters about requests, nothing that is asked for."""
    letter = json.loads(getattr(message, "value", None) or b"{}")
    if letter.get("about") != "request":
        return letter.get("about")
    said = json.loads(letter["body"])
    return f"Status.{said['state']}" if said["type"] == "Status" else said["type"]


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


def _die(value):
    step, wanted = value.split(":")
    if step == "chain":
        _die_before_chain()
        return
    from streams.agents.solo import Solo

    hear, save, send = Solo._hear, Solo._save, Solo._send
    doomed = []

    def heard(self, found):
        said = hear(self, found)
        if any(what(message) == wanted for message in said):
            doomed.append(wanted)
            if step == "heard":
                _kill()
        return said

    async def saved(self):
        await save(self)
        if doomed and step == "saved":
            _kill()

    async def sent(self):
        await send(self)
        if doomed and step == "sent":
            _kill()

    Solo._hear, Solo._save, Solo._send = heard, saved, sent


def _die_before_chain():
    from streams.custody.transfers import Transfers

    Transfers.broadcast = lambda *_: _kill()


def _drop(wanted):
    _change_sending(wanted, 0, times=1)


def _double(wanted):
    _change_sending(wanted, 2)


def _change_sending(wanted, copies, times=1_000_000):
    from streams.agents.outbox import Outbox

    send, left = Outbox.send, [times]

    async def changed(self, message):
        if what(message) != wanted or not left[0]:
            return await send(self, message)
        left[0] -= 1
        if not copies:
            import asyncio

            done = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done
        await send(self, message)
        return await send(self, message)

    Outbox.send = changed


def _unprepared():
    from m1cep.errors import CustodyError
    from streams.custody.secrets import KeyfileSecrets

    def none(*_):
        raise CustodyError("sabotaged")

    KeyfileSecrets.prepare = none


def _nonces(file):
    from streams.custody import secrets

    sign, path = secrets.sign, Path(file)

    def noted(share, nonces, message, commitments):
        line = json.dumps([share.identifier, nonces.commitment.encode(share.public.suite).hex(), message.hex()])
        with path.open("a") as log:
            log.write(line + "\n")  # one write, appended: whole though the process is killed right after
        return sign(share, nonces, message, commitments)

    secrets.sign = noted


def _same_nonces():
    """The source of nonces gives the same after every start."""
    from streams.custody.secrets import KeyfileSecrets

    init = KeyfileSecrets.__init__

    def constant(self, keyfile, vaults, _random=None):
        init(self, keyfile, vaults, lambda size: b"\x07" * size)

    KeyfileSecrets.__init__ = constant


def _forgetful():
    """A signer does not remember which transaction it has signed for a request, nor in which attempt."""
    from m1cep.custody.signer import Signer

    look = Signer._look

    def forgets(self, known, *more):
        known.pinned = ""
        return look(self, known, *more)

    Signer._look = forgets


def _plans_anew():
    """The coordinator makes a plan for every attempt, each with another fee."""
    from m1cep.custody.requests import rounds

    begin = rounds._begin

    def anew(desk, case, able):
        if case.attempt:
            plan = json.loads(case.plan)
            plan["fee_rate"] = plan.get("fee_rate", 1) + case.attempt
            case.plan = json.dumps(plan).encode()
        begin(desk, case, able)

    rounds._begin = anew


MUTANTS = {"same-nonces": _same_nonces, "forgetful": _forgetful, "plans-anew": _plans_anew}

_KINDS = {
    "die": _die,
    "drop": _drop,
    "double": _double,
    "unprepared": _unprepared,
    "nonces": _nonces,
    "mutant": lambda name: MUTANTS[name](),
}
