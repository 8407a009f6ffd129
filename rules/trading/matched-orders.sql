/*
id: matched-orders
severity: medium
summary: Two accounts of different owners trade with each other many times in ten minutes and end where they began.
source: Regulation (EU) 2016/522, Annex II, section 1, 3(c) - improper matched orders
params: {min_fill_usd: 2000, min_trades: 8, min_usd: 50000, max_imbalance: 0.05}
suppress: 10 min
*/
SELECT account, symbol, counterparty, trades, bought, sold, traded_usd, ts
FROM (
  SELECT *,
    COUNT(*) OVER w AS trades,
    SUM(qty) FILTER (WHERE side = 'buy') OVER w AS bought,
    SUM(qty) FILTER (WHERE side = 'sell') OVER w AS sold,
    SUM(price * qty) OVER w AS traded_usd
  FROM fills
  WHERE counterparty <> account AND owner <> counterparty_owner AND price * qty >= :min_fill_usd
  WINDOW w AS (
    PARTITION BY account, symbol, counterparty
    ORDER BY ts
    RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
  )
)
WHERE trades >= :min_trades AND traded_usd >= :min_usd AND ABS(bought - sold) <= :max_imbalance * (bought + sold)
