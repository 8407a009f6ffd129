"""The coordinator of requests: from what is asked for to an end with a reason. No clock, no randomness, no I/O, no secret.

messages     what is said between coordinator, signers, people, chains and books
state        what the coordinator remembers, who signs, how long it waits
coordinator  the whole: :class:`Coordinator`
rounds       signing: who takes part, two rounds, another attempt
ends         how a request ends, and what becomes of its lock
"""

from m1cep.custody.requests.coordinator import Coordinator
from m1cep.custody.requests.messages import State, decode, encode
from m1cep.custody.requests.state import Case, Group, Quorum, Timing

__all__ = ["Case", "Coordinator", "Group", "Quorum", "State", "Timing", "decode", "encode"]
