"""Node with @noble/curves: fetched once by npm, at the versions and hashes of package-lock.json, and asked."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".m1cep" / "noble"  # not in git
NODE_AT_LEAST = (20, 19)
FETCH_TIMEOUT_S = 120


class Missing(Exception):  # noqa: N818 - no error: the tests are skipped
    """This machine cannot run it; says why in one line."""


class Noble:
    """A running Node.

    Raises:
        Missing: no Node, or the package cannot be fetched.
    """

    def __init__(self) -> None:
        program = _node()
        folder = _fetched()
        # modules are found from where the script is
        shutil.copy(HERE / "answer.mjs", folder / "answer.mjs")
        self._process = subprocess.Popen(
            [program, str(folder / "answer.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, ask: str, suite: str, **question: Any) -> Any:
        """One answer."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"ask": ask, "suite": suite, **question}) + "\n")
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer
        return answer["answer"]

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)


def _node() -> str:
    program = shutil.which("node")
    if program is None:
        raise Missing("there is no node")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < NODE_AT_LEAST:
        raise Missing(f"Node {NODE_AT_LEAST[0]}.{NODE_AT_LEAST[1]} is needed, {program} is {said.strip() or 'unknown'}")
    return program


def _fetched() -> Path:
    lock = HERE / "package-lock.json"
    folder = CACHE / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            _fetch(folder)
            (folder / "whole").touch()
    return folder


def _fetch(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("there is no npm to fetch @noble/curves with")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder / name)
    # `ci` takes what the lock names and refuses other hashes; no script of a package is run
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"npm has not fetched @noble/curves in {FETCH_TIMEOUT_S} s") from None
    if done.returncode:
        raise Missing(f"npm cannot fetch @noble/curves: {' '.join(done.stderr.split())[:300] or 'no reason given'}")
