"""The jars of Apache Kafka: fetched once by Maven into its own cache, named by a file of ours."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")
CACHE = Path(__file__).parents[2] / ".m1cep" / "kafka"  # not in git
JAVA_AT_LEAST = 17
FETCH_TIMEOUT_S = 300


class Missing(Exception):  # noqa: N818 - no error: the tests are skipped
    """This machine cannot run Apache Kafka; says why in one line."""


def java() -> str:
    """The Java program.

    Raises:
        Missing: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if program is None:
        raise Missing("there is no java")
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < JAVA_AT_LEAST:
        raise Missing(f"Java {JAVA_AT_LEAST} is needed, {program} is {found[1] if found else 'unknown'}")
    return program


def classpath() -> str:
    """The class path of the broker; fetched when it is not there yet.

    Raises:
        Missing: no Maven, or no index that it can reach.
    """
    file = CACHE / f"{hashlib.sha256(POM.read_bytes()).hexdigest()[:16]}.classpath"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_whole(file):
            _fetch(file)
    return file.read_text()


def _is_whole(file: Path) -> bool:
    return file.exists() and all(Path(jar).exists() for jar in file.read_text().split(os.pathsep))


def _fetch(file: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("there is no Maven (mvn) to fetch Apache Kafka with")
    part = file.with_suffix(".part")
    # A jar whose checksum is not that of the index is refused, not warned about.
    command = [maven, "-B", "-q", "--strict-checksums", "-f", str(POM), "dependency:build-classpath"]
    try:
        done = subprocess.run(
            [*command, f"-Dmdep.outputFile={part}"],
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"Maven has not fetched Apache Kafka in {FETCH_TIMEOUT_S} s") from None
    if done.returncode or not part.exists():
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
        raise Missing(f"Maven cannot fetch Apache Kafka: {' '.join((errors or ['no reason given'])[0].split())[:300]}")
    part.replace(file)
