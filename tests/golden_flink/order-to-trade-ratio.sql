-- order-to-trade-ratio: Over a minute, far more orders were entered, changed or withdrawn than trades came of
--   them.
-- Source: Commission Delegated Regulation (EU) 2017/566 - ratio of unexecuted orders to transactions
-- Written by `m1cep rules flink` for Flink SQL 2.x. Kafka tables need flink-sql-connector-kafka on the class
--   path.
-- Times are epoch numbers as in the JSON. A record that is not JSON ends the job.
-- Differs (line 7): suppress: 1 min is not known there: every alert is written
-- Differs (line 15): a RANGE frame of Flink also has the later rows of the same time

SET 'pipeline.name' = 'order-to-trade-ratio';

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
  `row` ROW<symbol STRING, order_events BIGINT, trades BIGINT, ratio BIGINT, ts BIGINT>
) WITH (
  'connector' = 'kafka',
  'topic' = 'm1cep.alerts.flink.v1',
  'properties.bootstrap.servers' = 'kafka:9092',
  'sink.delivery-guarantee' = 'at-least-once',
  'format' = 'json'
);

INSERT INTO alerts
SELECT 'order-to-trade-ratio', 'low', ROW(symbol, order_events, trades, ratio, ts)
FROM (
  SELECT
    symbol,
    order_events,
    trades,
    order_events / NULLIF(trades, 0) - 1 AS ratio,
    ts
  FROM (
    SELECT
      *,
      COUNT(CASE WHEN action <> 'trade' THEN 1 END) OVER w AS order_events,
      COUNT(CASE WHEN action = 'trade' THEN 1 END) OVER w AS trades
    FROM market
    WINDOW w AS (PARTITION BY symbol ORDER BY event_time RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW)
  )
  WHERE
    trades >= 2 AND order_events > 3000 * trades
);
