/*
id: wash-trade
severity: high
summary: Two accounts of one owner traded back and forth within a minute.
source: Regulation (EU) 2016/522, Annex II, section 1, 3(a) - wash trades; CME Rule 534
*/
SELECT account, symbol, owner, counterparty, trades, volume
FROM (
  SELECT * FROM fills WHERE owner = counterparty_owner
) MATCH_RECOGNIZE (
  PARTITION BY account, symbol
  ORDER BY ts
  MEASURES
    THERE.owner AS owner,
    THERE.counterparty AS counterparty,
    COUNT(*) AS trades,
    SUM(qty) AS volume
  PATTERN ((THERE BACK){2})
  WITHIN INTERVAL '60' SECOND
  DEFINE
    THERE AS THERE.side = FIRST(THERE.side),
    BACK AS BACK.side <> THERE.side AND BACK.counterparty = THERE.counterparty
)
