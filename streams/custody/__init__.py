"""Custody over Kafka.

roster       who is who: public keys, vaults
mail         who says what: signed messages
derive       from a request to the transaction, alike for everybody
shares       commitments, shares and signatures of all that a transaction needs signed; the coordinator's part of signing
keyfile      what a signer keeps; strongbox: how it is encrypted; backup: a share as words, and the whole key from shares
secrets      what a signer does with its shares
rites        what is said in a ceremony
onlooker     a ceremony as whoever looks on sees it; ceremony: a signer's part in it; ceremonies: all of a signer's
watch        the coordinator's side of a ceremony
repairing    a lost share restored by others: a signer's part; repairwatch: the coordinator's
owners       Safes, whose owners are the signers
policies     another policy over the topics
signer_machine  the whole signer, as the worker runs it; platform: what it hears of alerts, actions and accounts
coordinating the whole coordinator, as the worker runs it; hearing: what may be said to it; watches: its ceremonies
chaindesk    chains behind the coordinator; transfers: from plan to end; treasury: vaults on them; locks: the book of locks
auditing     the audit log and who signs its heads; journal: the log as a file; auditor: whether it is whole
alarms       what the coordinator raises as alerts
board        what stands, for everybody; window: vaults, policy and heads as they change
asks         what people ask beside releases, and what requests must fit; askdesk: who carries it out
counter      where people ask and wait; making: requests as they type them; view: what can be seen of them; seeds: people's keys
"""
