"""Signing in numbers, for ``/metrics``: what a coordinator asks, what a signer answers, how requests stand."""

from __future__ import annotations

from prometheus_client import Counter

MESSAGES = Counter(
    "m1cep_custody_messages",
    "Messages of signing, by who said them and their kind: AskCommitment and AskShare are the two rounds of an attempt.",
    ["party", "kind"],
)
CHANGES = Counter("m1cep_custody_requests", "Changes of requests, by the state that they came to.", ["state"])


def count(party: str, said: object) -> None:
    """A message was said.

    Args:
        party: coordinator or signer.
        said: of ``m1cep.custody.requests``.
    """
    MESSAGES.labels(party, type(said).__name__).inc()
