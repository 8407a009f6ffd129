"""What the demo owes, shown to everybody: statements of the ledger, vaults' keys that sign for them, a customer who checks.

    ledger's replica ──▶ statement ──▶ signers of the vaults ──▶ reserves.json ──▶ one customer's proof, checked with the file
                                                                                  that is published beside the statement

In a thread beside the rest. A statement is made when the books and the chains agree about the vaults: while a release is on its
way, one of them knows of it first.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from m1cep.errors import M1cepError
from m1cep.ledger.liabilities.verify_balance import statement_digest
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from streams.config import Settings
    from streams.custody.counter import Counter
    from streams.custody.mail import Pen
    from streams.custody.reserving import ReserveAsk
    from streams.custody.roster import Roster
    from streams.ledger.reserves import Cover

#: Between two statements; once the demo ends, as long as is waited for books and chains to agree about the last one.
EVERY_S, AGREE_AT_END_S = 20.0, 10.0
#: The newest are kept: a slow demo runs for days.
MOST_STATEMENTS = 30
_SIGNED_S, _VERIFIED_S = 30.0, 30.0
_LOOK_S = 0.2


def statements_folder(folder: Path) -> Path:
    """Where the demo's statements of what is owed are published."""
    return folder / "statements"


@dataclass(frozen=True)
class Office:
    """Custody, as one who asks for signatures sees it.

    Attributes:
        roster: who is who.
        pen: of a person who may ask.
    """

    roster: Roster
    pen: Pen


@dataclass
class DemoReserves:
    """Statements and reserves while the demo runs.

    Args:
        settings: with the addresses of broker and databases.
        folder: of the demo.
        office: None: there is no custody, and nobody signs for what is there.
        say: tells the person something.

    Attributes:
        ending: to be set when no more will be booked: one more statement is made then, and that is the last.
    """

    settings: Settings
    folder: Path
    office: Office | None
    say: Callable[[str], None]
    ending: threading.Event = field(default_factory=threading.Event)
    _told: dict[str, Any] = field(default_factory=dict)
    _made: int = 0
    _failure: Exception | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self, stack: ExitStack) -> None:
        """Begin; ``stack`` ends it."""
        self._thread = threading.Thread(target=self._run, name="demo-reserves", daemon=True)
        self._thread.start()
        stack.callback(self._thread.join, _SIGNED_S)
        stack.callback(self._stop)

    def done(self) -> bool:
        """Whether the last statement is made.

        Raises:
            ShellError: it failed.
        """
        if self._failure is not None:
            raise ShellError(f"the demo's statements failed: {self._failure}") from self._failure
        return self._thread is not None and not self._thread.is_alive()

    def summary(self) -> dict[str, Any]:
        """The demo's part of the contract: how many statements, and what the newest says."""
        return {"statements": self._made, **self._told}

    def _stop(self) -> None:
        self._stopped.set()
        self.ending.set()  # it may wait for that

    # -- the thread

    def _run(self) -> None:
        try:
            with ExitStack() as stack:
                self._work(self._counter(stack))
        except Exception as error:  # noqa: BLE001 - told to whoever asks whether it is done
            if not self._stopped.is_set():
                self._failure = error

    def _counter(self, stack: ExitStack) -> Counter | None:
        if self.office is None:
            return None
        from streams.custody.counter import open_counter

        return stack.enter_context(open_counter(self.settings, self.office.roster))

    def _work(self, counter: Counter | None) -> None:
        if counter is not None and not self._vaults_may_sign(counter):
            return
        while not self._stopped.is_set():
            last = self.ending.is_set()
            if (rows := self._agreed(counter, last=last)) is not None:
                self._make(counter, rows)
            if last:
                return
            self.ending.wait(EVERY_S)

    def _vaults_may_sign(self, counter: Counter) -> bool:
        """Wait for all keys, and then as long as signers sign for no moment, because they may have forgotten what they signed."""
        from streams.custody.reserving import MOST_AHEAD_MS

        assert self.office is not None
        vaults = self.office.roster.vaults.keys()
        while not vaults <= counter.view.vaults.keys():
            if self._stopped.is_set():
                return False
            counter.listen(round(_LOOK_S * 1000))
        return not self._stopped.wait(MOST_AHEAD_MS / 1000)

    def _agreed(self, counter: Counter | None, *, last: bool) -> list[dict[str, Any]] | None:
        """All balances, once they say of the vaults what the chains say; None: the demo ends first.

        The last time not for ever: what does not agree then is shown as it is.
        """
        from streams.ledger import reports
        from streams.ledger.connections import readers

        shards = readers(self.settings)
        give_up_s = time.monotonic() + AGREE_AT_END_S
        while not self._stopped.is_set() and last == self.ending.is_set():
            if counter is not None:
                while counter.listen(0):
                    pass
            rows = reports.balances(shards)
            booked = {row["owner"]: row["units"] for row in rows if row["kind"] == "vault"}
            on_chains = {} if counter is None else {name: one.free for name, one in counter.view.vaults.items()}
            if rows and (booked == on_chains or counter is None or (last and time.monotonic() > give_up_s)):
                return rows
            self._stopped.wait(_LOOK_S)
        return None

    def _make(self, counter: Counter | None, rows: list[dict[str, Any]]) -> None:
        """One statement, and all that is shown with it."""
        from streams.ledger.statements import owed_by_asset, publish

        self._made += 1
        home, out = self.folder / "prove", statements_folder(self.folder) / f"statement-{self._made}"
        self._forget(self._made - MOST_STATEMENTS)
        clients = [
            (row["owner"], row["asset"], int(row["units"]), row["decimals"]) for row in rows if row["kind"] == "client"
        ]
        document = publish(home, out, time.time_ns() // 1_000_000, owed_by_asset(clients), sign=counter is not None)
        statement = document["statement"]
        self._told = {"statement": statement_digest(statement).hex(), "epoch_ms": statement["epoch_ms"]}
        if counter is None:
            return
        covers, places = self._show_reserves(counter, statement, out)
        if self._stopped.is_set():
            return
        self._told |= {
            "addresses": places,
            "assets": {cover.asset: cover.plain() for cover in covers},
            "proof": self._let_check(home, out, document["signature"]["public_key"]),
        }
        if self._made == 1:
            self.say(f"{places} vaults have signed that they stand for what is owed: see Reserves")

    def _forget(self, number: int) -> None:
        import shutil

        shutil.rmtree(statements_folder(self.folder) / f"statement-{number}", ignore_errors=True)

    def _show_reserves(self, counter: Counter, statement: Mapping[str, Any], out: Path) -> tuple[list[Cover], int]:
        """Have every vault's key sign for a statement, and publish what is there: each asset, and how many addresses signed."""
        from streams.ledger.reserves import covers, publish_reserves

        asked = self._ask(counter, statement)

        def answered() -> bool:
            return self._stopped.is_set() or all(one.id in view.reserves or one.id in view.answers for one in asked)

        view = counter.view
        counter.wait(lambda _: answered(), _SIGNED_S)
        if self._stopped.is_set():
            return [], 0
        places = []
        for ask in asked:
            made, stands = view.reserves.get(ask.id), view.vaults[ask.vault]
            if made is None:
                why = view.answers[ask.id].reason if ask.id in view.answers else f"no answer in {_SIGNED_S:.0f} s"
                self.say(f"{ask.vault} does not stand for the statement: {why}")
                continue
            place = {"chain": stands.chain, "asset": ask.asset, "address": stands.address, "units": stands.free}
            signed = {"scheme": made.scheme, "public_key": made.key, "signature": made.signature}
            places.append({**place, "height": stands.height, **signed})
        return (publish_reserves(out, places) if places else covers(statement, {})), len(places)

    def _ask(self, counter: Counter, statement: Mapping[str, Any]) -> list[ReserveAsk]:
        from streams.custody.mail import REQUESTS
        from streams.custody.reserving import ABOUT, ReserveAsk, encode_ask

        assert self.office is not None
        digest, asked = statement_digest(dict(statement)).hex(), []
        for stands in counter.view.vaults.values():
            asset = f"{stands.chain}/{stands.asset}"
            asked.append(ReserveAsk(secrets.token_hex(8), stands.vault, asset, digest, statement["epoch_ms"]))
            counter.send(self.office.pen.write(REQUESTS, stands.vault, ABOUT, encode_ask(asked[-1])))
        return asked

    def _let_check(self, home: Path, out: Path, key: str) -> dict[str, Any]:
        """A customer of custody takes the published verifier, in a process of its own that sees nothing of ours, and checks."""
        from streams.ledger.statements import VERIFIER, Proofs

        assert self.office is not None
        user = next(iter(self.office.roster.vaults.values())).account
        proof = home / "proof.json"
        try:
            proof.write_bytes(orjson.dumps(Proofs(home, out).of(user)))
        except M1cepError as error:
            return {"user": user, "true": False, "said": str(error)}
        command = [sys.executable, "-I", "-S", str(out / VERIFIER), str(proof), "--user", user, "--key", key]
        done = subprocess.run(  # noqa: S603 - the command is ours
            command, capture_output=True, text=True, timeout=_VERIFIED_S, check=False, cwd=out
        )
        said = done.stdout.splitlines() or done.stderr.splitlines() or [""]
        return {"user": user, "true": done.returncode == 0, "said": said[0]}
