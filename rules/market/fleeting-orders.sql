/*
id: fleeting-orders
severity: medium
summary: A sizeable order was created and deleted, unfilled, faster than anyone could have traded with it.
source: Regulation (EU) 2016/522, Annex II, section 1, 5(e) - orders withdrawn before execution; CME Rule 575
params: {min_qty: 1.0}
*/
SELECT symbol, order_id, side, price, qty, lifetime_us
FROM (
  SELECT * FROM market WHERE qty >= :min_qty   -- most orders are small: they are left aside at once
) MATCH_RECOGNIZE (
  PARTITION BY symbol, order_id
  ORDER BY ts
  MEASURES
    BORN.side AS side,
    BORN.price AS price,
    BORN.qty AS qty,
    GONE.ts - BORN.ts AS lifetime_us
  PATTERN (BORN GONE)
  WITHIN INTERVAL '0.1' SECOND
  DEFINE
    BORN AS BORN.action = 'created',
    GONE AS GONE.action = 'deleted' AND GONE.qty = BORN.qty   -- nothing of it was executed
)
