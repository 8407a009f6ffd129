/*
id: soak-window
severity: info
summary: An account that places and cancels far more orders in a minute than others.
params: {min_orders: 30}
*/
SELECT account, window_start, window_end, COUNT(*) AS orders, SUM(qty) AS qty, AVG(price) AS price
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY account, window_start, window_end
HAVING COUNT(*) >= :min_orders
