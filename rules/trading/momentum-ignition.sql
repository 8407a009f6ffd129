/*
id: momentum-ignition
severity: high
summary: A burst of fills of one side, each at a price as far or further, then a fill of the other side beyond where the burst ended.
source: Regulation (EU) 2016/522, Annex II, section 1, 4(e) - momentum ignition; Regulation (EU) 2023/1114 (MiCA), Article 91
params: {min_fill_usd: 1000, min_push_usd: 100000, min_move_bps: 20, window: 30 s}
*/
SELECT account, symbol, side, fills, pushed_usd, first_price, last_price, exit_price, span_us
FROM (
  SELECT * FROM fills WHERE price * qty >= :min_fill_usd   -- small change neither opens nor breaks a burst
) MATCH_RECOGNIZE (
  PARTITION BY account, symbol
  ORDER BY ts
  MEASURES
    IGNITE.side AS side,
    COUNT(PUSH.*) + 1 AS fills,
    IGNITE.price * IGNITE.qty + SUM(PUSH.price * PUSH.qty) AS pushed_usd,
    IGNITE.price AS first_price,
    PUSH.price AS last_price,
    EXIT_.price AS exit_price,
    EXIT_.ts - IGNITE.ts AS span_us
  PATTERN (IGNITE PUSH{4,}? EXIT_)   -- the sides tell PUSH from EXIT_: one way only to read the rows
  WITHIN :window
  DEFINE
    PUSH AS PUSH.side = IGNITE.side
      AND CASE PUSH.side WHEN 'buy' THEN PUSH.price - COALESCE(LAST(PUSH.price, 1), IGNITE.price)
                         ELSE COALESCE(LAST(PUSH.price, 1), IGNITE.price) - PUSH.price END >= 0,
    EXIT_ AS EXIT_.side <> IGNITE.side
      AND CASE IGNITE.side WHEN 'buy' THEN PUSH.price / IGNITE.price - 1
                           ELSE 1 - PUSH.price / IGNITE.price END * 10000 >= :min_move_bps
      AND CASE IGNITE.side WHEN 'buy' THEN EXIT_.price - PUSH.price ELSE PUSH.price - EXIT_.price END >= 0
      AND IGNITE.price * IGNITE.qty + SUM(PUSH.price * PUSH.qty) >= :min_push_usd
)
