/*
id: payout-without-approval
severity: critical
summary: A withdrawal was paid out that was not approved, was rejected, or had been paid already.
source: Regulation (EU) 2023/1114 (MiCA), Article 75 - custody of crypto-assets
action: freeze_account
*/
SELECT account, request_id, before, before_usd, paid_usd, address, span_us
FROM (
  SELECT * FROM accounts
  WHERE kind IN ('withdrawal_requested', 'withdrawal_approved', 'withdrawal_rejected', 'withdrawal')
    AND request_id IS NOT NULL
) MATCH_RECOGNIZE (
  PARTITION BY account, request_id
  ORDER BY ts
  MEASURES
    OTHER.kind AS before,
    OTHER.amount_usd AS before_usd,
    PAID.amount_usd AS paid_usd,
    PAID.address AS address,
    PAID.ts - OTHER.ts AS span_us
  PATTERN (OTHER PAID)   -- right before the payment of a request must stand its approval
  WITHIN INTERVAL '1' DAY
  DEFINE
    OTHER AS OTHER.kind <> 'withdrawal_approved',
    PAID AS PAID.kind = 'withdrawal'
)
