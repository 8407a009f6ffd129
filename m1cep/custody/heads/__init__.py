"""Heads of the audit log, signed by the signers' own group key: no process of one party can write another log afterwards.

    coordinator ── entries ──▶ every signer, which follows the log from its first entry and keeps where it ends (``Witness``)
    coordinator ── AskHead, AskHeadShare ──▶ signers: those who know this head from their own copy sign it (``Gathering``)

messages   what is said
part       one signer's part in signing with a shared key, whatever it is
witness    a signer's copy of the log, of which it signs heads
gathering  the coordinator's part
"""

from m1cep.custody.heads.gathering import Gathering, Signing
from m1cep.custody.heads.messages import SignedHead
from m1cep.custody.heads.part import Part
from m1cep.custody.heads.witness import Witness

__all__ = ["Gathering", "Part", "SignedHead", "Signing", "Witness"]
