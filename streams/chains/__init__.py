"""Chains of one's own, in this process: real chain software behind ``m1cep.custody.chains.interface.LocalNode``.

``local``    a new one by its kind
``bitcoin``  Bitcoin Core's consensus code on regtest (extra ``custody-bitcoin``)
``solana``   the Solana runtime as LiteSVM (extra ``custody-solana``)
``evm``      py-evm behind eth-tester (extra ``custody-evm``); ``safe`` fetches the Safe's contracts

For the demo and for tests: money comes from a faucet, blocks come when asked for, all is gone when the process ends.
"""
