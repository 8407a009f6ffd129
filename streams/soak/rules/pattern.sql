/*
id: soak-pattern
severity: info
summary: A large order is cancelled within five seconds, whatever else the account does meanwhile.
params: {min_usd: 20000}
*/
SELECT account, order_id, usd, cancelled_at, between_them
FROM orders
MATCH_RECOGNIZE (
  PARTITION BY account, symbol
  ORDER BY ts
  MEASURES
    PLACED.order_id AS order_id,
    PLACED.price * PLACED.qty AS usd,
    PULLED.ts AS cancelled_at,
    COUNT(OTHER.order_id) AS between_them
  PATTERN (PLACED OTHER*? PULLED)
  WITHIN INTERVAL '5' SECOND
  DEFINE
    PLACED AS PLACED.action = 'new' AND PLACED.price * PLACED.qty >= :min_usd,
    PULLED AS PULLED.action = 'cancel' AND PULLED.order_id = PLACED.order_id
)
