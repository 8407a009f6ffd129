"""Messages and stubs of ``proto/m1cep/risk/v1/risk.proto``, made by ``proto/generate.py``."""
