/*
id: changed-then-withdrawn
severity: high
summary: Password or second factor was changed, and within a day a large sum left from a device other than the one that changed it.
source: FFIEC Authentication and Access to Financial Institution Services and Systems (2021); FATF Virtual Assets Red Flag Indicators (2020)
action: hold_withdrawal
params: {min_usd: 100000}
suppress: 1 h
*/
SELECT c.account, c.kind AS changed, c.device AS changed_on, w.device AS withdrawn_on, w.amount_usd, w.address, w.ts - c.ts AS span_us
FROM accounts c JOIN accounts w
  ON c.account = w.account AND w.ts BETWEEN c.ts AND c.ts + INTERVAL '24' HOUR
WHERE c.kind IN ('password_changed', 'two_factor_changed') AND w.kind = 'withdrawal'
  AND w.amount_usd >= :min_usd AND w.device <> c.device
