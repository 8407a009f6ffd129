"""A signer: what it votes, commits to and signs. No clock, no randomness, no I/O; secrets are behind functions that it is given.

nonces  in memory only, each used once
state   what it remembers, what it is given
votes   what it says of requests
signer  the whole: :class:`Signer`
"""

from m1cep.custody.signer.nonces import NonceBox
from m1cep.custody.signer.signer import Signer
from m1cep.custody.signer.state import Known, Secrets

__all__ = ["Known", "NonceBox", "Secrets", "Signer"]
