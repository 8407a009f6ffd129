/*
id: soak-over
severity: info
summary: A fill after which an account has traded much of one symbol within ten minutes; told once in ten seconds.
params: {min_usd: 100000}
suppress: 10 s
*/
SELECT account, symbol, traded_usd, trades, ts
FROM (
  SELECT *, COUNT(*) OVER w AS trades, SUM(price * qty) OVER w AS traded_usd
  FROM fills
  WINDOW w AS (
    PARTITION BY account, symbol
    ORDER BY ts
    RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
  )
)
WHERE traded_usd >= :min_usd
