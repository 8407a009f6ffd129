/*
id: stale-market-data
severity: high
summary: Half a minute without a new order or a trade in a symbol, while time went on.
source: Regulation (EU) 2017/589, Article 16 - real-time monitoring; FIA Best Practices for Automated Trading Risk Controls and System Safeguards (2024)
action: halt_grid
params: {window: 30 s}
*/
SELECT symbol, last_price, last_seen
FROM (
  SELECT * FROM market WHERE action IN ('created', 'trade')   -- a book that only empties is no good sign
) MATCH_RECOGNIZE (
  PARTITION BY symbol
  ORDER BY ts
  MEASURES
    SEEN.price AS last_price,
    SEEN.ts AS last_seen
  PATTERN (SEEN ABSENT(MORE))
  WITHIN :window
)
