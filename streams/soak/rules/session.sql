/*
id: soak-session
severity: info
summary: An account's fills, run by run; a run is over when there is none for a minute.
params: {min_fills: 20}
*/
SELECT account, window_start, window_end, COUNT(*) AS fills, SUM(fee) AS fees, COUNT(DISTINCT symbol) AS symbols
FROM TABLE(SESSION(TABLE fills PARTITION BY account, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY account, window_start, window_end
HAVING COUNT(*) >= :min_fills
