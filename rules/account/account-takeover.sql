/*
id: account-takeover
severity: critical
summary: Failed logins, then a login, a changed password or second factor, a new address, and money leaving to it.
source: FFIEC Authentication and Access to Financial Institution Services and Systems (2021); FATF Virtual Assets Red Flag Indicators (2020)
action: freeze_account
*/
SELECT account, failed_logins, country, changed, address, amount_usd, span_us
FROM accounts MATCH_RECOGNIZE (
  PARTITION BY account
  ORDER BY ts
  MEASURES
    SUM(CASE kind WHEN 'login_failed' THEN 1 ELSE 0 END) AS failed_logins,
    CHANGED.country AS country,
    CHANGED.kind AS changed,
    GONE.address AS address,
    GONE.amount_usd AS amount_usd,
    GONE.ts - FIRST(FAILED.ts) AS span_us
  PATTERN (FAILED (OTHER*? FAILED){2} OTHER*? ENTERED OTHER*? CHANGED OTHER*? LISTED OTHER*? GONE)
  WITHIN INTERVAL '30' MINUTE
  DEFINE
    FAILED AS FAILED.kind = 'login_failed',
    ENTERED AS ENTERED.kind = 'login',
    CHANGED AS CHANGED.kind IN ('password_changed', 'two_factor_changed'),
    LISTED AS LISTED.kind = 'address_whitelisted',
    GONE AS GONE.kind = 'withdrawal' AND GONE.address = LISTED.address
)
