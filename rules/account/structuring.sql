/*
id: structuring
severity: high
summary: Several withdrawals, each just below the reporting threshold, add up to far more than it.
source: 31 U.S.C. 5324 (structuring); FATF Virtual Assets Red Flag Indicators (2020), transactions in small amounts below thresholds
action: hold_withdrawal
params: {threshold_usd: 10000, near: 0.85, min_count: 4, min_total_usd: 30000}
suppress: 10 min
*/
SELECT account, withdrawals, total_usd, ts
FROM (
  SELECT *, COUNT(*) OVER w AS withdrawals, SUM(amount_usd) OVER w AS total_usd
  FROM accounts
  WHERE kind = 'withdrawal' AND amount_usd < :threshold_usd AND amount_usd >= :near * :threshold_usd
  WINDOW w AS (
    PARTITION BY account
    ORDER BY ts
    RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
  )
)
WHERE withdrawals >= :min_count AND total_usd > :min_total_usd
