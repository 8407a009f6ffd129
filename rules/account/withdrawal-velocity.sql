/*
id: withdrawal-velocity
severity: high
summary: Many withdrawals within an hour that together move a large sum out.
source: FATF Virtual Assets Red Flag Indicators (2020), transactions - several of high value in short succession
action: hold_withdrawal
params: {min_count: 5, min_total_usd: 200000}
suppress: 10 min
*/
SELECT account, withdrawals, total_usd, largest_usd, ts
FROM (
  SELECT *,
    COUNT(*) OVER w AS withdrawals,
    SUM(amount_usd) OVER w AS total_usd,
    MAX(amount_usd) OVER w AS largest_usd
  FROM accounts
  WHERE kind = 'withdrawal'
  WINDOW w AS (
    PARTITION BY account
    ORDER BY ts
    RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
  )
)
WHERE withdrawals >= :min_count AND total_usd >= :min_total_usd
