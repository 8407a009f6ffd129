"""Makes streams/rpc/v1/ from the protocol: python proto/generate.py [FOLDER]. The versions that make it are in uv.lock."""

from __future__ import annotations

import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent
PACKAGE = "streams.rpc.v1"
TARGET = ROOT.parent / "streams" / "rpc" / "v1"


def generate(target: Path) -> None:
    """Write the modules of messages and stubs into a folder."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        resources.as_file(resources.files("grpc_tools") / "_proto") as common,
    ):
        out = [f"--{kind}_out={scratch}" for kind in ("python", "pyi", "grpc_python")]
        files = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.proto"))
        if protoc.main(["protoc", f"-I{ROOT}", f"-I{common}", *out, *files]) != 0:
            raise SystemExit("protoc refuses the protocol")
        target.mkdir(parents=True, exist_ok=True)
        for made in sorted(Path(scratch).rglob("*.py*")):
            # The protocol's package is m1cep.risk.v1, which as a Python package would lie in the core.
            text = made.read_text().replace("from m1cep.risk.v1 import", f"from {PACKAGE} import")
            (target / made.name).write_text(text)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
