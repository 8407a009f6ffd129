/*
id: margin-breach
severity: critical
summary: An account is worth less than the maintenance margin of its positions.
source: FINRA Rule 4210 - margin requirements; CFTC 17 CFR 1.73 - clearing members' risk limits
action: halt_grid
params: {min_cover: 1.0}   # equity over maintenance margin; raise it to be warned before
suppress: 5 min
*/
SELECT account, equity_usd, maintenance_usd, maintenance_usd - equity_usd AS missing_usd, ts
FROM accounts
WHERE kind = 'margin_update' AND equity_usd < :min_cover * maintenance_usd
