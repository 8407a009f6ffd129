/*
id: dusting
severity: low
summary: Within an hour, worthless deposits came in from many different addresses.
source: FATF Virtual Assets Red Flag Indicators (2020), transaction patterns - small amounts from many unrelated wallets
params: {dust_usd: 1.0, min_addresses: 10}
suppress: 1 h
*/
SELECT account, window_start, window_end, COUNT(DISTINCT address) AS addresses, COUNT(*) AS deposits, SUM(amount_usd) AS total_usd
FROM TABLE(HOP(TABLE accounts, DESCRIPTOR(ts), INTERVAL '10' MINUTE, INTERVAL '1' HOUR))
WHERE kind = 'deposit' AND amount_usd < :dust_usd
GROUP BY account, window_start, window_end
HAVING COUNT(DISTINCT address) >= :min_addresses
