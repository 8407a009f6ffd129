"""Custody: keys shared by many, assets released only when enough of them agree. No I/O, no clock.

request    what is asked for: the one form that everybody digests
policy     a file that says what is allowed, facts that every signer keeps for itself, the decision
requests   the coordinator's machine: from a request to an end, whatever happens to messages and signers
signer     a signer's machine: what it votes, commits to and signs, each nonce once
audit      the log that nobody can change unseen
canonical  one text for one value, and its digest
"""
