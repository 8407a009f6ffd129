"""What is found: a line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from streams.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        part: installation, machine, settings, broker, cache, database, clock, custody or index.
        name: of the thing.
        verdict: ok; warn: something will not work that need not; fail: something that is asked for does not work.
        text: what was found.
        remedy: what to do; empty where nothing is to be done.
        server: it fails because a server is missing or refuses.
    """

    part: str
    name: str
    verdict: Verdict
    text: str
    remedy: str = ""
    server: bool = False


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """0: nothing fails; 3: servers alone fail; 1: something else does."""
    failed = [one for one in findings if one.verdict == "fail"]
    if not failed:
        return ExitCode.OK
    return ExitCode.SERVER if all(one.server for one in failed) else ExitCode.FAILURE
