/*
id: marking-the-close
severity: medium
summary: In the half minute before the full hour, when reference and funding prices are taken, one account traded a lot and the price went with it.
source: Regulation (EU) 2016/522, Annex II, section 1 - marking the close; CME Rule 575
params: {min_trades: 3, min_usd: 250000, min_move_bps: 10}
suppress: 1 min
*/
SELECT account, symbol, side, trades, traded_usd, (high / low - 1) * 10000 AS move_bps, ts
FROM (
  SELECT *,
    COUNT(*) OVER w AS trades,
    SUM(price * qty) OVER w AS traded_usd,
    MAX(price) OVER w AS high,
    MIN(price) OVER w AS low
  FROM fills
  WHERE EXTRACT(MINUTE FROM ts) = 59 AND EXTRACT(SECOND FROM ts) >= 30
  WINDOW w AS (
    PARTITION BY account, symbol, side
    ORDER BY ts
    RANGE BETWEEN INTERVAL '30' SECOND PRECEDING AND CURRENT ROW
  )
)
WHERE trades >= :min_trades AND traded_usd >= :min_usd AND (high / low - 1) * 10000 >= :min_move_bps
  AND price = CASE side WHEN 'buy' THEN high ELSE low END   -- the way that its own trades push
