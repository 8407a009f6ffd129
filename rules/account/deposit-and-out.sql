/*
id: deposit-and-out
severity: high
summary: A sizeable deposit leaves again within half an hour, in one or several withdrawals, after hardly any trading.
source: FATF Virtual Assets Red Flag Indicators (2020), transactions - deposited and at once withdrawn without further activity
action: hold_withdrawal
params: {min_deposit_usd: 10000, min_out: 0.9, max_out: 1.1, max_traded: 0.05, window: 30 min}   # shares of what came in
*/
SELECT account, deposit_usd, out_usd, withdrawals, traded_usd, address, span_us
FROM (
  SELECT * FROM events WHERE kind IN ('deposit', 'withdrawal', 'fill')
) MATCH_RECOGNIZE (
  PARTITION BY account
  ORDER BY ts
  MEASURES
    MONEY_IN.amount_usd + COALESCE(SUM(MORE.amount_usd), 0) AS deposit_usd,
    COALESCE(SUM(PART.amount_usd), 0) + MONEY_OUT.amount_usd AS out_usd,
    COUNT(PART.*) + 1 AS withdrawals,
    COALESCE(SUM(TRADE.price * TRADE.qty), 0) AS traded_usd,
    MONEY_OUT.address AS address,
    MONEY_OUT.ts - MONEY_IN.ts AS span_us
  PATTERN (MONEY_IN (TRADE | PART | MORE)*? MONEY_OUT)
  WITHIN :window
  DEFINE
    MONEY_IN AS MONEY_IN.kind = 'deposit' AND MONEY_IN.amount_usd >= :min_deposit_usd,
    TRADE AS TRADE.kind = 'fill'
      AND SUM(TRADE.price * TRADE.qty) <= :max_traded * MONEY_IN.amount_usd,   -- who trades is no longer of interest
    PART AS PART.kind = 'withdrawal',
    MORE AS MORE.kind = 'deposit',
    MONEY_OUT AS MONEY_OUT.kind = 'withdrawal'
      AND COALESCE(SUM(PART.amount_usd), 0) + MONEY_OUT.amount_usd
        BETWEEN :min_out * (MONEY_IN.amount_usd + COALESCE(SUM(MORE.amount_usd), 0))
        AND :max_out * (MONEY_IN.amount_usd + COALESCE(SUM(MORE.amount_usd), 0))
)
