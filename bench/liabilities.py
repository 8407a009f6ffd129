"""What a proof of liabilities costs, in processor time, and how often that is the bare hashes it stands on.

    python bench/liabilities.py [--customers 100000] [--turns 3] [--json]

One process, one thread. ``proof`` is all that is made for one asset: pieces, leaves, tree, the published file, the signed
statement. ``hashes`` is what nobody can do without: an HMAC a customer, an HMAC and a digest a leaf, a leaf's and a node's
digest, of the same lengths, in a loop. ``customer`` is one customer's proof, made from the tree; ``check`` is what the customer's
file does with it, from JSON to the last signature; ``signature`` is that last step alone, by the same file. ``command`` is the
file as customers run it, Python's start and all, in wall time, beside ``python -c pass``. ``audit`` checks all leaves.
"""

from __future__ import annotations

import argparse
import hmac
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from nacl.signing import SigningKey

from m1cep.ledger.liabilities import Secret, Signer, Tree, customer_proof, make_sheet, signed_document, statement_of
from m1cep.ledger.liabilities import verify_balance as verifier

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH_MS = 1_790_000_000_000
CHECKS = 200


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--customers", type=int, default=100_000)
    options.add_argument("--turns", type=int, default=3)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    rows = [measure(given.customers, turn) for turn in range(given.turns)]
    found = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    if given.json:
        print(json.dumps(found))
        return
    print(f"{given.customers} customers, {int(found['leaves'])} leaves; median of {given.turns}\n")
    print(
        f"proof made            {found['proof_s']:8.2f} s     {found['proof_s'] / found['hashes_s']:6.2f} x the bare hashes"
    )
    print(f"a customer's proof    {found['customer_ms']:8.3f} ms")
    ratio = found["check_ms"] / found["signature_ms"]
    print(f"a customer's check    {found['check_ms']:8.3f} ms    {ratio:6.2f} x its signature alone")
    start = found["start_ms"]
    print(f"as a command (wall)   {found['command_ms']:8.1f} ms    {found['command_ms'] / start:6.2f} x python -c pass")
    print(
        f"audit of all leaves   {found['audit_s']:8.2f} s     {found['audit_s'] / found['hashes_s']:6.2f} x the bare hashes"
    )


def measure(customers: int, turn: int) -> dict[str, float]:
    """One turn of everything."""
    dice = random.Random(turn)
    owed = [(f"account-{n:07d}", dice.randrange(10**12)) for n in range(customers)]
    key = SigningKey(bytes(32))
    signer = Signer("ed25519", bytes(key.verify_key), lambda message: key.sign(message).signature)
    secret = Secret(bytes([turn]) * 32)

    began = time.process_time()
    sheet = make_sheet(secret, EPOCH_MS, "BTC", owed)
    tree = Tree(sheet)
    data = sheet.encode()
    signed = signed_document(statement_of(EPOCH_MS, {"BTC": tree}, {"BTC": 8}, None), signer)
    proof_s = time.process_time() - began

    chosen = dice.choices(owed, k=CHECKS)
    proofs = []
    customer_s = spent(lambda: proofs.extend(document(secret, user, signed, sheet, tree) for user, _ in chosen))
    check_s = spent(
        lambda: [check(text, user, units, signer) for text, (user, units) in zip(proofs, chosen, strict=True)]
    )
    digest = verifier.statement_digest(signed["statement"])
    value = bytes.fromhex(signed["signature"]["value"])
    signature_s = spent(lambda: [verifier.ed25519_verify(signer.public_key, digest, value) for _ in chosen])
    return {
        "leaves": len(sheet.amounts),
        "proof_s": proof_s,
        "hashes_s": spent(lambda: bare_hashes(customers, len(sheet.amounts))),
        "customer_ms": customer_s / CHECKS * 1000,
        "check_ms": check_s / CHECKS * 1000,
        "signature_ms": signature_s / CHECKS * 1000,
        "audit_s": spent(lambda: verifier.check_leaves(signed["statement"], "BTC", data)),
        "command_ms": command(proofs[0], chosen[0][0], signer),
        "start_ms": wall([sys.executable, "-I", "-c", "pass"]),
    }


def document(secret: Secret, user: str, signed: dict, sheet: object, tree: Tree) -> str:
    """A customer's proof as it is sent."""
    return json.dumps(customer_proof(secret, user, signed, {"BTC": sheet}, {"BTC": tree}))


def check(text: str, user: str, units: int, signer: Signer) -> None:
    """What a customer does with it."""
    _, balances = verifier.check_proof(json.loads(text), user, signer.public_key.hex())
    assert balances == {"BTC": units}


def bare_hashes(customers: int, leaves: int) -> None:
    """The digests that there are, of bytes of the same lengths, kept by nobody."""
    key, leaf, node = bytes(32), bytes(90), bytes(120)
    for _ in range(customers):
        hmac.digest(key, leaf[:28], "sha256")
    for _ in range(leaves):
        hmac.digest(key, leaf[:8], "sha256")
        sha256(leaf[:78]).digest()
        sha256(leaf).digest()
        sha256(node).digest()


def spent(what: Callable[[], object]) -> float:
    """Processor time of it, in seconds."""
    began = time.process_time()
    what()
    return time.process_time() - began


def command(text: str, user: str, signer: Signer) -> float:
    """Wall time of the customer's file as a program, in ms."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "proof.json")
        path.write_text(text)
        program = [sys.executable, "-I", verifier.__file__, str(path), "--user", user, "--key", signer.public_key.hex()]
        return wall(program)


def wall(program: list[str]) -> float:
    """Median wall time of a program, in ms."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(program, check=True, capture_output=True)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
