"""The pre-trade check as a gRPC service: ``proto/m1cep/risk/v1/risk.proto``, answered from memory by ``m1cep/pretrade``.

topics ─▶ agents/solo ─▶ feed ─▶ m1cep.pretrade.Book ◀─ service ◀─ gRPC
                          └▶ freshness: how old is what we know ──┘
"""
