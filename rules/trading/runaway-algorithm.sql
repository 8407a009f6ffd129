/*
id: runaway-algorithm
severity: critical
summary: Twenty orders in a row of the same side, price and size, within two seconds; a loop, not a decision.
source: SEC Rule 15c3-5(c)(1)(ii) - duplicative orders; Regulation (EU) 2017/589, Articles 12 and 15 - kill functionality, repeated automated execution
action: halt_grid
params: {window: 2 s}
suppress: 10 s
*/
SELECT account, symbol, side, price, qty, first_order, orders, span_us
FROM (
  SELECT * FROM orders WHERE action = 'new'
) MATCH_RECOGNIZE (
  PARTITION BY account, symbol, side
  ORDER BY ts
  MEASURES
    SENT.price AS price,
    SENT.qty AS qty,
    SENT.order_id AS first_order,
    COUNT(*) AS orders,
    AGAIN.ts - SENT.ts AS span_us
  PATTERN (SENT AGAIN{19})
  WITHIN :window
  DEFINE
    AGAIN AS AGAIN.qty = SENT.qty AND AGAIN.price IS NOT DISTINCT FROM SENT.price   -- market orders have no price
)
