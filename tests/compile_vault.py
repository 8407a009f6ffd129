"""Writes ``m1cep/custody/chains/evm/vault_code.py``: ``python tests/compile_vault.py`` after a change of vault.vy."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vyper import compile_code

EVM = Path(__file__).parents[1] / "m1cep" / "custody" / "chains" / "evm"


def vault_code() -> str:
    """The module that vault.vy compiles to."""
    source = (EVM / "vault.vy").read_text(encoding="utf-8")
    compiled = compile_code(source, output_formats=["bytecode"], no_bytecode_metadata=True)["bytecode"]
    digits = compiled.removeprefix("0x")
    lines = [f'    "{digits[at : at + 112]}"' for at in range(0, len(digits), 112)]
    return "\n".join(
        [
            '"""What vault.vy compiles to with vyper 0.4.3; made by tests/compile_vault.py, never by hand."""',
            "",
            f'SOURCE_SHA256 = "{hashlib.sha256(source.encode()).hexdigest()}"',
            "VAULT_INIT_CODE = bytes.fromhex(",
            *lines,
            ")",
            "",
        ]
    )


if __name__ == "__main__":
    (EVM / "vault_code.py").write_text(vault_code(), encoding="utf-8")
