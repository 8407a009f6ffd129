/*
id: approval-overdue
severity: medium
summary: A withdrawal was asked for, and half an hour later nobody has approved, rejected or paid it.
source: Regulation (EU) 2023/1114 (MiCA), Article 75 - custody of crypto-assets
params: {window: 30 min}
*/
SELECT account, request_id, amount_usd, address, asked_at
FROM (
  SELECT * FROM accounts
  WHERE kind IN ('withdrawal_requested', 'withdrawal_approved', 'withdrawal_rejected', 'withdrawal')
    AND request_id IS NOT NULL
) MATCH_RECOGNIZE (
  PARTITION BY account, request_id
  ORDER BY ts
  MEASURES
    ASKED.amount_usd AS amount_usd,
    ASKED.address AS address,
    ASKED.ts AS asked_at
  PATTERN (ASKED ABSENT(DECIDED))
  WITHIN :window
  DEFINE
    ASKED AS ASKED.kind = 'withdrawal_requested',
    DECIDED AS DECIDED.kind <> 'withdrawal_requested'
)
