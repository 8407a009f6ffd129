/*
id: layering
severity: high
summary: Several sizeable orders on one side, a fill on the other, then the first side is cancelled.
source: Regulation (EU) 2016/522, Annex II, section 1, 5(e) - layering and spoofing; FINRA Rule 5210
params: {min_notional_usd: 25000}
*/
SELECT account, symbol, side, first_order, layered_usd, filled_price, cancelled, span_us
FROM (
  SELECT * FROM events WHERE kind IN ('order', 'fill')
) MATCH_RECOGNIZE (
  PARTITION BY account, symbol
  ORDER BY ts
  MEASURES
    LAYER.side AS side,
    FIRST(LAYER.order_id) AS first_order,
    SUM(LAYER.price * LAYER.qty) AS layered_usd,
    TAKE.price AS filled_price,
    COUNT(PULL.*) AS cancelled,
    PULL.ts - FIRST(LAYER.ts) AS span_us
  PATTERN (LAYER (OTHER*? LAYER){2} OTHER*? TAKE (OTHER*? PULL){3})
  WITHIN INTERVAL '5' SECOND
  DEFINE
    LAYER AS LAYER.action = 'new' AND LAYER.price * LAYER.qty >= :min_notional_usd AND LAYER.side = FIRST(LAYER.side),
    TAKE AS TAKE.kind = 'fill' AND TAKE.side <> LAYER.side,
    PULL AS PULL.action = 'cancel' AND PULL.side = LAYER.side AND PULL.price * PULL.qty >= :min_notional_usd
)
