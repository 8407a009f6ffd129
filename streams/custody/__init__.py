"""Custody over Kafka.

roster   who is who: public keys, vaults
mail     who says what: signed messages
"""
