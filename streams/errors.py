"""The errors of the shell, and the exit code that each one means.

    M1cepError
    └── ShellError            a command cannot go on                                          exit code 1
        ├── UsageError        an option, setting or file that the user gave is wrong           exit code 2
        ├── GatewayError      a venue refuses, or does not answer (streams.gateways)              exit code 1
        ├── ServerError       the broker or another server is missing, lost, or not ours       exit code 3
        └── PackageIndexError  a package index is needed and cannot be reached, or lies         exit code 4

``streams.cli.main`` catches them, prints ``m1cep: <message>`` to stderr as one line, and exits with the code.
A refused rule (``m1cep.RuleError``) exits with code 1 as well.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

from m1cep.errors import M1cepError


class ExitCode(IntEnum):
    """What the exit codes of every ``m1cep`` and ``run.py`` command mean."""

    OK = 0
    FAILURE = 1  # the work itself failed: a bad rule, a failed check, an engine error
    USAGE = 2  # wrong option, setting or file: nothing was started
    SERVER = 3  # the broker or another server is missing or was lost
    INDEX = 4  # the package index cannot be reached or gave a file with another hash


class ShellError(M1cepError):
    """A command cannot go on, and this says why in one line.

    Attributes:
        message: what was expected, what came, where.
        remedy: what to do about it, or an empty string.
        exit_code: of the command, 1 to 4.
    """

    default_exit_code: ClassVar[ExitCode] = ExitCode.FAILURE

    def __init__(self, message: str, remedy: str = "", exit_code: int | None = None) -> None:
        self.message = one_line(message)
        self.remedy = one_line(remedy)
        self.exit_code = int(self.default_exit_code if exit_code is None else exit_code)
        super().__init__(f"{self.message}; {self.remedy}" if self.remedy else self.message)


class UsageError(ShellError):
    """An option, a setting or a file that the user gave is wrong."""

    default_exit_code = ExitCode.USAGE


class ServerError(ShellError):
    """The broker or another server is missing, was lost, or is not the one we started."""

    default_exit_code = ExitCode.SERVER


class PackageIndexError(ShellError):
    """A package index is needed and cannot be reached, or what it gave is not what was asked for."""

    default_exit_code = ExitCode.INDEX


def one_line(text: str) -> str:
    """The text on one line, with what a terminal would act on shown as an escape (log lines of others end up here)."""
    flat = " ".join(text.split())
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in flat)
