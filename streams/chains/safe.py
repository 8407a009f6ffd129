"""The Safe's contracts, version 1.4.1: fetched by hash when wanted, out of the Safe team's own Python package, never installed.

Safe's contracts are LGPL-3.0 and stay theirs. That they are the real ones shows by itself: a contract's CREATE2 address
follows from its code, and theirs are the addresses of every chain (``LocalSafe`` refuses others).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from streams.fetch import WheelPin, fetch_files

_ABIS = "safe_eth/eth/contracts/abis"
_FILES = {  # our name -> file, its sha256
    "safe": ("Safe_V1_4_1.json", "a57d54c0d757ca7fb86693480797de69c880878690b67061f6f9624e11def8bd"),
    "factory": ("ProxyFactory_V1_4_1.json", "f77ccb60e95345e6583216e82feb5430098679d62aa4aeda7388df3831476997"),
    "proxy": ("Proxy_V1_4_1.json", "b05eaeaf7278097e52a9e9b38410de2a812c23fa3622373473e73eaa19646ecd"),
}
SAFE_WHEEL = WheelPin(
    package="safe-eth-py",
    version="7.27.0",
    sha256="3ce4b763f99ff1f78bdd3578d052e6082992ddb47f418b59c9ba4dedd0ba86c8",
    files={f"{_ABIS}/{name}": digest for name, digest in _FILES.values()},
)


def safe_code(folder: Path | None = None) -> dict[str, bytes]:
    """Init codes of the Safe (``safe``), its proxy factory (``factory``) and its proxy (``proxy``).

    Args:
        folder: where the files are kept from one call to the next; None: nowhere.

    Raises:
        PackageIndexError: the package index cannot be reached, or gave other files.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="m1cep-safe-") as scratch:
            return safe_code(Path(scratch))
    if not all((folder / name).is_file() for name, _ in _FILES.values()):
        folder.mkdir(parents=True, exist_ok=True)
        fetch_files(SAFE_WHEEL, folder)
    return {ours: _bytecode(folder / name) for ours, (name, _) in _FILES.items()}


def _bytecode(path: Path) -> bytes:
    text: str = json.loads(path.read_bytes())["bytecode"]
    return bytes.fromhex(text.removeprefix("0x"))
