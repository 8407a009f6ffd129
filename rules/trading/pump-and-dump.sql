/*
id: pump-and-dump
severity: high
summary: An account bought a good deal within an hour and sold most of it again at prices well above those that it had paid.
source: Regulation (EU) 2016/522, Annex II, section 1, 4(c) - pump and dump; Regulation (EU) 2023/1114 (MiCA), Article 91
params: {min_fill_usd: 1000, min_buys: 5, min_bought_usd: 100000, min_sold: 0.8, max_sold: 1.2, min_rise_bps: 300}
suppress: 1 h
*/
SELECT account, symbol, buys, bought_usd, sold_usd, sold_qty / bought_qty AS sold_share,
  (sold_usd / sold_qty) / (bought_usd / bought_qty) - 1 AS rise, ts
FROM (
  SELECT *,
    COUNT(*) FILTER (WHERE side = 'buy') OVER w AS buys,
    SUM(qty) FILTER (WHERE side = 'buy') OVER w AS bought_qty,
    SUM(price * qty) FILTER (WHERE side = 'buy') OVER w AS bought_usd,
    SUM(qty) FILTER (WHERE side = 'sell') OVER w AS sold_qty,
    SUM(price * qty) FILTER (WHERE side = 'sell') OVER w AS sold_usd
  FROM fills
  WHERE price * qty >= :min_fill_usd
  WINDOW w AS (
    PARTITION BY account, symbol
    ORDER BY ts
    RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
  )
)
WHERE side = 'sell' AND buys >= :min_buys AND bought_usd >= :min_bought_usd
  AND sold_qty BETWEEN :min_sold * bought_qty AND :max_sold * bought_qty
  AND sold_usd * bought_qty * 10000 >= bought_usd * sold_qty * (10000 + :min_rise_bps)
