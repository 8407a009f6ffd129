"""Custody: what leaves a vault, decided by many and signed by none alone. Pure: no I/O, no clock, no randomness.

request     what is asked for, in the one form that everybody digests and signs
policy      a declarative file, a signer's own facts, and what follows from both
requests    the coordinator: a request from being asked for to an end with a reason
signer      one of those who hold a share: decides for itself, signs only what it derived, uses each nonce once
audit       an append-only log, each entry bound to the one before
canonical   one text for one value, so that digests agree
frost       threshold signatures (RFC 9591): keys, ceremonies, signing
chains      what a signer derives for a chain: addresses, transactions, digests
"""
