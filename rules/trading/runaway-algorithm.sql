/*
id: runaway-algorithm
severity: critical
summary: Twenty orders of the very same side, price and size within two seconds; a loop, not a decision.
source: SEC Rule 15c3-5(c)(1)(ii) - duplicative orders; Regulation (EU) 2017/589, Articles 12 and 15 - kill functionality, repeated automated execution
action: halt_grid
params: {min_orders: 20}
suppress: 10 s
*/
SELECT account, symbol, side, price, qty, orders, ts
FROM (
  SELECT *, COUNT(*) OVER (
      PARTITION BY account, symbol, side, price, qty   -- market orders have no price: NULL is a group of its own
      ORDER BY ts
      RANGE BETWEEN INTERVAL '2' SECOND PRECEDING AND CURRENT ROW
    ) AS orders
  FROM orders
  WHERE action = 'new'
)
WHERE orders >= :min_orders
