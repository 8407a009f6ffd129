/*
id: order-to-trade-ratio
severity: low
summary: Over a minute, far more orders were entered, changed or withdrawn than trades came of them.
source: Commission Delegated Regulation (EU) 2017/566 - ratio of unexecuted orders to transactions
params: {max_ratio: 3000, min_trades: 2}
suppress: 1 min
*/
SELECT symbol, order_events, trades, order_events / trades - 1 AS ratio, ts
FROM (
  SELECT *,
    COUNT(*) FILTER (WHERE action <> 'trade') OVER w AS order_events,
    COUNT(*) FILTER (WHERE action = 'trade') OVER w AS trades
  FROM market
  WINDOW w AS (
    PARTITION BY symbol
    ORDER BY ts
    RANGE BETWEEN INTERVAL '60' SECOND PRECEDING AND CURRENT ROW
  )
)
WHERE trades >= :min_trades AND order_events > :max_ratio * trades
