"""Chains of the Ethereum virtual machine: a vault contract that verifies FROST(secp256k1), and Safe 1.4.1 with m of n owners."""
