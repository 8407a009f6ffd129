/*
id: brute-force-logins
severity: medium
summary: Within ten minutes, far more failed logins to one account than anyone needs who forgot a password.
source: NIST SP 800-63B, section 5.2.2 - rate limiting; FFIEC Authentication and Access to Financial Institution Services and Systems (2021)
action: freeze_account
params: {min_failures: 20}
suppress: 10 min
*/
SELECT account, window_start, window_end, COUNT(*) AS failures, COUNT(DISTINCT ip) AS hosts, COUNT(DISTINCT country) AS countries
FROM TABLE(HOP(TABLE accounts, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '10' MINUTE))   -- told within a minute
WHERE kind = 'login_failed'
GROUP BY account, window_start, window_end
HAVING COUNT(*) >= :min_failures
