/*
id: self-trade
severity: medium
summary: An account traded with itself again and again within ten minutes; a pattern, not an accident.
source: FINRA Rule 5210.02 - self-trades; CME Rule 534 - wash trades
params: {min_trades: 3}
suppress: 10 min
*/
SELECT account, symbol, trades, traded_usd, ts
FROM (
  SELECT *, COUNT(*) OVER w AS trades, SUM(price * qty) OVER w AS traded_usd
  FROM fills
  WHERE counterparty = account AND side = 'buy'   -- each trade is told twice: once is enough
  WINDOW w AS (
    PARTITION BY account, symbol
    ORDER BY ts
    RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
  )
)
WHERE trades >= :min_trades
