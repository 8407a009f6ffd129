/*
id: structured-deposits
severity: medium
summary: A run of deposits, each below the reporting threshold and none more than an hour after the one before, adds up to far more than it.
source: 31 U.S.C. 5324 (structuring); FATF Virtual Assets Red Flag Indicators (2020), transactions in small amounts below thresholds
params: {threshold_usd: 10000, near: 0.5, min_count: 4, min_total_usd: 30000}
*/
SELECT account, window_start, window_end, COUNT(*) AS deposits, SUM(amount_usd) AS total_usd, COUNT(DISTINCT address) AS sources
FROM TABLE(SESSION(TABLE accounts PARTITION BY account, DESCRIPTOR(ts), INTERVAL '1' HOUR))   -- told once, when the run is over
WHERE kind = 'deposit' AND amount_usd < :threshold_usd AND amount_usd >= :near * :threshold_usd
GROUP BY account, window_start, window_end
HAVING COUNT(*) >= :min_count AND SUM(amount_usd) >= :min_total_usd
