-- fleeting-orders: A sizeable order was created and deleted, unfilled, faster than anyone could have traded
--   with it.
-- Source: Regulation (EU) 2016/522, Annex II, section 1, 5(e) - orders withdrawn before execution; CME Rule
--   575
-- Written by `m1cep rules flink` for Flink SQL 2.x. Kafka tables need flink-sql-connector-kafka on the class
--   path.
-- Times are epoch numbers as in the JSON. A record that is not JSON ends the job.

SET 'pipeline.name' = 'fleeting-orders';

SET 'table.local-time-zone' = 'UTC';

SET 'table.exec.source.idle-timeout' = '5 s';

SET 'execution.checkpointing.interval' = '10 s';

CREATE TABLE market (
  event_id STRING,
  symbol STRING,
  action STRING,
  order_id STRING,
  side STRING,
  price DOUBLE,
  qty DOUBLE,
  buy_order_id STRING,
  sell_order_id STRING,
  ts BIGINT,
  event_time AS TO_TIMESTAMP_LTZ(ts, 3),
  WATERMARK FOR event_time AS event_time - INTERVAL '0.001' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = 'm1cep.market.v1',
  'properties.bootstrap.servers' = 'kafka:9092',
  'properties.group.id' = 'm1cep-flink',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json'
);

CREATE TABLE alerts (
  rule STRING,
  severity STRING,
  `row` ROW<symbol STRING, order_id STRING, side STRING, price DOUBLE, qty DOUBLE, lifetime_us BIGINT>
) WITH (
  'connector' = 'kafka',
  'topic' = 'm1cep.alerts.flink.v1',
  'properties.bootstrap.servers' = 'kafka:9092',
  'sink.delivery-guarantee' = 'at-least-once',
  'format' = 'json'
);

INSERT INTO alerts
SELECT 'fleeting-orders', 'medium', ROW(symbol, order_id, side, price, qty, lifetime_us)
FROM (
  SELECT
    symbol,
    order_id,
    side,
    price,
    qty,
    lifetime_us
  FROM (
    SELECT
      *
    FROM market
    WHERE
      qty >= 1.0e0
  )
  MATCH_RECOGNIZE (
    PARTITION BY symbol, order_id
    ORDER BY event_time
    MEASURES
      BORN.side AS side,
      BORN.price AS price,
      BORN.qty AS qty,
      (GONE.ts - BORN.ts) * 1000 AS lifetime_us
    ONE ROW PER MATCH
    AFTER MATCH SKIP PAST LAST ROW
    PATTERN (BORN GONE)
    WITHIN INTERVAL '0.100' SECOND
    DEFINE
      BORN AS BORN.action = 'created',
      GONE AS GONE.action = 'deleted' AND GONE.qty = BORN.qty
  )
);
