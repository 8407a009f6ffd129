"""Rules that are deployed without a restart: records of the compacted topic ``m1cep.rules.v1``, and what a worker makes of them.

m1cep rules deploy ──▶ record ──▶ m1cep.rules.v1 ──▶ Follower ──▶ Book: compiled, off the hot path ──▶ agents/ruler: every
partition goes on with it between two batches
"""
