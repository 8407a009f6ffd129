/*
id: drawdown
severity: high
summary: An account lost a large part of the highest value that it had within a day; money withdrawn is no loss.
source: Regulation (EU) 2017/589, Article 17 - post-trade controls on market risk
action: halt_grid
params: {max_drawdown: 0.2, min_peak_usd: 1000}
suppress: 1 h
*/
SELECT account, equity_usd, peak_usd, withdrawn_usd, 1 - (equity_usd + withdrawn_usd) / peak_usd AS drawdown, ts
FROM (
  SELECT *,
    MAX(equity_usd) OVER w AS peak_usd,
    -- of the whole day, before the peak too: errs on the quiet side
    COALESCE(SUM(amount_usd) FILTER (WHERE kind = 'withdrawal') OVER w, 0) AS withdrawn_usd
  FROM accounts
  WHERE kind IN ('margin_update', 'withdrawal')
  WINDOW w AS (
    PARTITION BY account
    ORDER BY ts
    RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW
  )
)
WHERE kind = 'margin_update' AND peak_usd >= :min_peak_usd AND equity_usd + withdrawn_usd <= (1 - :max_drawdown) * peak_usd
