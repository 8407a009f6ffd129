"""Custody over Kafka.

roster       who is who: public keys, vaults
mail         who says what: signed messages
derive       from a request to the transaction, alike for everybody
shares       commitments, shares and signatures of all that a transaction needs signed; the coordinator's part of signing
keyfile      what a signer keeps, encrypted; backup: a share as words, and the whole key from shares
secrets      what a signer does with its shares
rites        what is said in a ceremony
onlooker     a ceremony as whoever looks on sees it; ceremony: a signer's part in it; ceremonies: all of a signer's
watch        the coordinator's side of a ceremony
signer_machine  the whole signer, as the worker runs it
coordinating the whole coordinator, as the worker runs it; hearing: what may be said to it; watches: its ceremonies
chaindesk    chains behind the coordinator: plans, broadcasts, confirmations; treasury: vaults on them; locks: the book of locks
journal      the coordinator's audit log as a file
asks         what people ask beside releases; what requests must fit
counter      where people ask and wait; view: what anybody can see of requests; seeds: keys of people
"""
