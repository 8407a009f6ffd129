/*
id: sanctions-hit
severity: critical
summary: Money comes from, or is to go to, an address on the sanctions list.
source: OFAC Sanctions Compliance Guidance for the Virtual Currency Industry (2021)
action: freeze_account
*/
SELECT account, kind, address, asset, amount_usd, ts
FROM accounts
WHERE kind IN ('deposit', 'address_whitelisted', 'withdrawal_requested', 'withdrawal')
  AND IN_LIST('sanctions', address)   -- in any letters, where these mean nothing
