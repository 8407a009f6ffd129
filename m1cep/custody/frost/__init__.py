"""FROST: signatures by m of n signers that no m - 1 of them can make (RFC 9591), keys that nobody ever holds whole.

**This code has not been audited.** The arithmetic on secrets is done by libsodium and libsecp256k1 in constant time;
what is not: coincurve compares scalars with the group's order as Python integers, Python's memory cannot be wiped, and
copies of secrets stay in it until they are overwritten. Give a signer a process and a user of its own.

Nothing here reads a clock, a file or randomness: randomness is handed in (``secrets.token_bytes``).

suite, ed25519, secp256k1   groups, encodings, hashes
sharing                     polynomials and interpolation
keys                        public keys, shares, epochs
signing                     round one, round two, verify a share, aggregate and name who spoiled it
terms, ceremony             new keys without a dealer; refresh; change of members and threshold
repair                      a lost share, restored by others
recovery                    the whole key from m shares: break-glass
taproot                     BIP341's tweak
envelope, sealing, proof    who says so; for whose eyes; that it knows the secret it commits to
wire, hidden, errors        encodings; secrets that do not show; what is refused
"""

from m1cep.custody.frost.ed25519 import ED25519
from m1cep.custody.frost.secp256k1 import SECP256K1, TAPROOT

__all__ = ["ED25519", "SECP256K1", "TAPROOT"]
