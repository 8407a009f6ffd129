/*
id: price-band
severity: high
summary: A trade left the band around the mean price of the last five minutes.
source: NMS Plan to Address Extraordinary Market Volatility (Limit Up-Limit Down) - reference price and bands
action: halt_grid
params: {band: 0.0008}
suppress: 1 min
*/
SELECT symbol, price, reference, price / reference - 1 AS deviation, ts
FROM (
  SELECT *, AVG(price) OVER (
      PARTITION BY symbol
      ORDER BY ts
      RANGE BETWEEN INTERVAL '5' MINUTE PRECEDING AND CURRENT ROW
    ) AS reference
  FROM market
  WHERE action = 'trade'
)
WHERE ABS(price / reference - 1) > :band
