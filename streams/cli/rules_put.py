"""What commands about running rules end with: a record is written, workers are waited for, and what came of it is said."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import typer

from streams.cli.output import counted
from streams.errors import ShellError

if TYPE_CHECKING:
    from streams.config import Settings
    from streams.rules.desk import Arrival
    from streams.rules.record import RuleRecord


class Put(NamedTuple):
    """How a record is to be put into force, by the options of the command.

    Attributes:
        group: prefix of the workers' consumer groups.
        timeout_s: how long they are waited for, if at all.
        as_json: what came of it is said as JSON.
    """

    group: str
    timeout_s: float
    wait: bool
    as_json: bool

    def write(self, settings: Settings, record: RuleRecord, previous: RuleRecord | None) -> None:
        """Write a record, wait for the workers, and say what came of it.

        Raises:
            ShellError: somebody else has decided about the rule meanwhile, or a worker does not run it.
        """
        from streams.cli.progress import ProgressBar
        from streams.rules import desk

        record = desk.write_rule(settings, record, previous)
        told: dict[str, Any] = {
            "rule": record.rule,
            "version": record.version,
            "mode": record.mode,
            "by": record.by,
            "approved_by": record.approved_by,
        }
        if not self.wait:
            self._say(told, _plain_words(record))
            return
        with ProgressBar("waiting for the workers", self.timeout_s) as bar:
            started_s = time.monotonic()
            arrived = desk.wait_until_in_force(
                settings, record, self.group, self.timeout_s, lambda _: bar.update(time.monotonic() - started_s)
            )
        told |= {
            "in_force_after_ms": arrived.after_ms,
            "quarantined": arrived.quarantined,
            "missing": list(arrived.missing),
        }
        self._say(told, f"{_plain_words(record)}; {_of_workers(arrived, self.group)}")
        self._check(record, arrived)

    def _check(self, record: RuleRecord, arrived: Arrival) -> None:
        """Raises ShellError where a worker cannot run it, or was not heard from."""
        if arrived.quarantined:
            worker, reason = next(iter(arrived.quarantined.items()))
            raise ShellError(
                f"worker {worker} cannot run rule {record.rule}: {reason}", f"m1cep rules rollback {record.rule}"
            )
        if arrived.missing:
            raise ShellError(
                f"not heard within {self.timeout_s:g} s from {', '.join(arrived.missing)}",
                "m1cep rules list shows when they have it: they will, as soon as they read again",
            )

    def _say(self, told: dict[str, Any], words: str) -> None:
        if self.as_json:
            sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
            sys.stdout.buffer.flush()
        else:
            typer.echo(words)


def _plain_words(record: RuleRecord) -> str:
    how = {"active": "active", "shadow": "in shadow", "disabled": "disabled", "proposed": "proposed"}[record.mode]
    words = f"rule {record.rule} version {record.version} is {how}, by {record.by}"
    if record.approved_by:
        words += f", approved by {record.approved_by}"
    if record.mode == "proposed":
        words += f"; another person: m1cep rules approve {record.rule} --version {record.version} --by NAME"
    return words


def _of_workers(arrived: Arrival, group: str) -> str:
    if not arrived.after_ms and arrived.complete:
        return f"no worker of group {group} runs now: those that start will have it"
    slowest = max(arrived.after_ms.values(), default=0)
    many = f"{counted(len(arrived.after_ms), 'worker')} {'has' if len(arrived.after_ms) == 1 else 'have'}"
    return f"{many} it, the last {slowest / 1000:.2f} s after it was written"
