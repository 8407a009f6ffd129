"""Custody: keys held by many, assets locked on many chains. Pure: no I/O, no clock, no randomness of its own."""
