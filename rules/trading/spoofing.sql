/*
id: spoofing
severity: high
summary: One very large order, a much smaller fill on the other side, then the large order is withdrawn all but untouched.
source: Regulation (EU) 2016/522, Annex II, section 1, 5(e) - layering and spoofing; CME Rule 575.A; FINRA Rule 5210.03
params: {min_bait_usd: 250000, min_ratio: 5, min_unfilled: 0.9, window: 10 s}
*/
SELECT account, symbol, side, bait_order, bait_usd, filled_price, filled_usd, span_us
FROM (
  SELECT * FROM events WHERE kind IN ('order', 'fill')
) MATCH_RECOGNIZE (
  PARTITION BY account, symbol
  ORDER BY ts
  MEASURES
    BAIT.side AS side,
    BAIT.order_id AS bait_order,
    BAIT.price * BAIT.qty AS bait_usd,
    TAKE.price AS filled_price,
    TAKE.price * TAKE.qty AS filled_usd,
    PULL.ts - BAIT.ts AS span_us
  PATTERN (BAIT OTHER*? TAKE OTHER*? PULL)
  WITHIN :window
  DEFINE
    BAIT AS BAIT.action = 'new' AND BAIT.price * BAIT.qty >= :min_bait_usd,
    TAKE AS TAKE.kind = 'fill' AND TAKE.side <> BAIT.side
      AND TAKE.price * TAKE.qty * :min_ratio <= BAIT.price * BAIT.qty,
    PULL AS PULL.action = 'cancel' AND PULL.order_id = BAIT.order_id AND PULL.qty >= :min_unfilled * BAIT.qty
)
