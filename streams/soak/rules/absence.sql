/*
id: soak-absence
severity: info
summary: A large order that is neither filled nor cancelled for half a minute.
params: {min_usd: 10000}
*/
SELECT account, order_id, usd, placed_at
FROM (
  SELECT * FROM events WHERE kind IN ('order', 'fill')
) MATCH_RECOGNIZE (
  PARTITION BY account, order_id
  ORDER BY ts
  MEASURES
    PLACED.price * PLACED.qty AS usd,
    PLACED.ts AS placed_at
  PATTERN (PLACED ABSENT(ANSWERED))
  WITHIN INTERVAL '30' SECOND
  DEFINE
    PLACED AS PLACED.action = 'new' AND PLACED.price * PLACED.qty >= :min_usd,
    ANSWERED AS ANSWERED.action <> 'new'
)
