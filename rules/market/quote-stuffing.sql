/*
id: quote-stuffing
severity: medium
summary: A burst of orders created and deleted at one price level, too dense to be trading interest.
source: Regulation (EU) 2016/522, Annex II, section 1 - quote stuffing; CME Rule 575.C
params: {max_events: 150}
suppress: 30 s
*/
SELECT symbol, side, price, events, ts
FROM (
  SELECT *, COUNT(*) OVER (
      PARTITION BY symbol, side, price
      ORDER BY ts
      RANGE BETWEEN INTERVAL '1' SECOND PRECEDING AND CURRENT ROW
    ) AS events
  FROM market
  WHERE action IN ('created', 'deleted')
)
WHERE events >= :max_events
