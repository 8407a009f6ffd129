-- The built-in streams. Every topic holds JSON, one event a record; the Kafka key is the PARTITIONED BY column.
-- NOT NULL columns must be in every event; the others may be missing or null. TIMESTAMP(3) is an integer of epoch
-- milliseconds or RFC 3339 text. WATERMARK states how much later than newer events an event may still arrive.

-- What clients ask of the trading platform.
CREATE TABLE orders (
  event_id  STRING NOT NULL,        -- unique; alerts name the events that led to them by it
  account   STRING NOT NULL,
  order_id  STRING NOT NULL,
  symbol    STRING NOT NULL,
  action    STRING NOT NULL,        -- new | cancel
  side      STRING NOT NULL,        -- buy | sell
  price     DOUBLE,                 -- null for a market order
  qty       DOUBLE NOT NULL,        -- of a new order: its size; of a cancel: what was still open
  ts        TIMESTAMP(3) NOT NULL,
  WATERMARK FOR ts AS ts - INTERVAL '200' MILLISECOND
) PARTITIONED BY (account) WITH ('topic' = 'm1cep.orders.v1');

-- What was executed: one event for each side of a trade.
CREATE TABLE fills (
  event_id            STRING NOT NULL,
  account             STRING NOT NULL,
  owner               STRING,       -- beneficial owner of the account, where known
  order_id            STRING NOT NULL,
  trade_id            STRING NOT NULL,
  symbol              STRING NOT NULL,
  side                STRING NOT NULL,   -- buy | sell
  price               DOUBLE NOT NULL,
  qty                 DOUBLE NOT NULL,
  fee                 DOUBLE,
  counterparty        STRING,       -- account on the other side, where it is ours
  counterparty_owner  STRING,
  ts                  TIMESTAMP(3) NOT NULL,
  WATERMARK FOR ts AS ts - INTERVAL '200' MILLISECOND
) PARTITIONED BY (account) WITH ('topic' = 'm1cep.fills.v1');

-- What happens to the account itself: access, settings, money in and out.
CREATE TABLE accounts (
  event_id  STRING NOT NULL,
  account   STRING NOT NULL,
  kind      STRING NOT NULL,        -- login | login_failed | password_changed | two_factor_changed | address_whitelisted
                                    -- deposit | withdrawal_requested | withdrawal_approved | withdrawal_rejected | withdrawal
                                    -- margin_update
  asset     STRING,
  amount    DOUBLE,                 -- of a deposit or withdrawal, in units of asset
  amount_usd DOUBLE,                -- the same in US dollars
  address   STRING,                 -- destination or source on the chain
  ip        STRING,
  country   STRING,
  device    STRING,
  request_id STRING,                -- what is asked for, decided on and paid out as one withdrawal bears one id
  equity_usd DOUBLE,                -- of a margin_update: what the account is worth, positions at market price
  maintenance_usd DOUBLE,           -- of a margin_update: what it must be worth at least for its positions
  ts        TIMESTAMP(3) NOT NULL,
  WATERMARK FOR ts AS ts - INTERVAL '200' MILLISECOND
) PARTITIONED BY (account) WITH ('topic' = 'm1cep.accounts.v1');

-- The public order flow of a venue: every order's life, and trades.
CREATE TABLE market (
  event_id       STRING NOT NULL,
  symbol         STRING NOT NULL,
  action         STRING NOT NULL,   -- created | changed | deleted | trade
  order_id       STRING,            -- null for a trade
  side           STRING NOT NULL,   -- bid | ask; of a trade: the aggressor's side
  price          DOUBLE NOT NULL,
  qty            DOUBLE NOT NULL,   -- created: size; changed, deleted: what is left; trade: what was traded
  buy_order_id   STRING,            -- of a trade
  sell_order_id  STRING,
  ts             TIMESTAMP(3) NOT NULL,
  WATERMARK FOR ts AS ts
) PARTITIONED BY (symbol) WITH ('topic' = 'm1cep.market.v1');

-- Everything about an account in one stream, by event time.
CREATE VIEW events AS
  SELECT event_id, account, 'order' AS kind, symbol, action, side, price, qty, order_id,
         CAST(NULL AS DOUBLE) AS amount_usd, CAST(NULL AS STRING) AS address, CAST(NULL AS STRING) AS country, ts FROM orders
  UNION ALL
  SELECT event_id, account, 'fill' AS kind, symbol, 'fill' AS action, side, price, qty, order_id,
         CAST(NULL AS DOUBLE) AS amount_usd, CAST(NULL AS STRING) AS address, CAST(NULL AS STRING) AS country, ts FROM fills
  UNION ALL
  SELECT event_id, account, kind, CAST(NULL AS STRING) AS symbol, kind AS action, CAST(NULL AS STRING) AS side,
         CAST(NULL AS DOUBLE) AS price, CAST(NULL AS DOUBLE) AS qty, CAST(NULL AS STRING) AS order_id,
         amount_usd, address, country, ts FROM accounts;
