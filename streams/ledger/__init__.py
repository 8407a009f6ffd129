"""The ledger's shell: books in PostgreSQL, fed from Kafka; reports. What may be posted, ``m1cep/ledger`` decides."""
