"""Chains behind one interface: what a signer derives by itself before it signs.

Pure: addresses, amounts, transactions, digests, signatures put in their place. Nothing here speaks to a chain; ``streams/chains``
does. Each chain needs its own extra (``custody-bitcoin``, ``custody-solana``, ``custody-evm``), so nothing is imported here.

``named``      a chain by its name
``interface``  what every chain offers, and what passes between signer, coordinator and chain
``amounts``    amounts as people write them, to whole minor units
``bitcoin``    taproot, key path only
``solana``     system transfers with a durable nonce
``evm``        a vault contract which verifies FROST(secp256k1), and Safe 1.4.1 with m of n owners
"""
