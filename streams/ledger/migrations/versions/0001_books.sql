-- The books of one shard. Made by their owner (m1cep_owner); m1cep_ledger writes them, and can change or remove no history:
-- it may only add to postings and transfers. m1cep_risk reads.

CREATE TABLE ledger.shard_v1 (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    number integer NOT NULL, count integer NOT NULL,
    CHECK (number >= 0 AND number < count)
);

CREATE TABLE ledger.assets_v1 (
    code text PRIMARY KEY,
    decimals smallint NOT NULL CHECK (decimals BETWEEN 0 AND 30)
);

-- Balances: what the history adds up to.
CREATE TABLE ledger.accounts_v1 (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('client', 'vault', 'omnibus', 'clearing', 'fees')),
    owner text NOT NULL,
    asset text NOT NULL REFERENCES ledger.assets_v1,
    overdraft boolean NOT NULL,
    debits_pending numeric(39) NOT NULL, debits_posted numeric(39) NOT NULL,
    credits_pending numeric(39) NOT NULL, credits_posted numeric(39) NOT NULL,
    UNIQUE (kind, owner, asset),
    UNIQUE (id, asset),
    CONSTRAINT totals CHECK (
        debits_pending BETWEEN 0 AND 170141183460469231731687303715884105727
        AND debits_posted BETWEEN 0 AND 170141183460469231731687303715884105727
        AND credits_pending BETWEEN 0 AND 170141183460469231731687303715884105727
        AND credits_posted BETWEEN 0 AND 170141183460469231731687303715884105727
    ),
    CONSTRAINT not_below_zero CHECK (
        overdraft
        OR kind NOT IN ('client', 'vault')
        OR (kind = 'client' AND debits_posted + debits_pending <= credits_posted)
        OR (kind = 'vault' AND credits_posted + credits_pending <= debits_posted)
    )
) WITH (fillfactor = 60);  -- room for new versions of a row on its page: most writes here change balances

-- The history.
CREATE TABLE ledger.postings_v1 (
    id text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 400),
    kind text NOT NULL,
    owner text NOT NULL,
    how text NOT NULL CHECK (how IN ('post', 'hold', 'settle', 'release')),
    time_ms bigint NOT NULL,
    digest bytea NOT NULL CHECK (length(digest) = 16),
    ends text UNIQUE CHECK (ends <> id),      -- the hold that it ended: once only
    source text NOT NULL,                     -- topic/partition/offset of the event
    posted_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE ledger.transfers_v1 (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    posting text NOT NULL REFERENCES ledger.postings_v1,
    leg smallint NOT NULL,
    mode text NOT NULL CHECK (mode IN ('posted', 'pending', 'settled', 'released', 'expired')),
    debit uuid NOT NULL,
    credit uuid NOT NULL CHECK (credit <> debit),
    asset text NOT NULL,
    units numeric(29) NOT NULL CHECK (units BETWEEN 1 AND 79228162514264337593543950335),
    freed numeric(29) NOT NULL DEFAULT 0 CHECK (freed >= 0),
    PRIMARY KEY (posting, leg),
    -- Both accounts are of the transfer's asset: every row is balanced, and with it every sum of rows.
    FOREIGN KEY (debit, asset) REFERENCES ledger.accounts_v1 (id, asset),
    FOREIGN KEY (credit, asset) REFERENCES ledger.accounts_v1 (id, asset)
);
CREATE INDEX transfers_v1_debit ON ledger.transfers_v1 (debit, seq);
CREATE INDEX transfers_v1_credit ON ledger.transfers_v1 (credit, seq);

-- Holds that are open: what is pending, by when it ends.
CREATE TABLE ledger.holds_v1 (
    id text PRIMARY KEY,
    debit uuid NOT NULL REFERENCES ledger.accounts_v1,
    credit uuid NOT NULL REFERENCES ledger.accounts_v1,
    units numeric(29) NOT NULL,
    expires_ms bigint NOT NULL
);
CREATE INDEX holds_v1_expires ON ledger.holds_v1 (expires_ms) WHERE expires_ms > 0;

-- Postings whose account lacks the funds, with the record that asked for them: tried again with whatever comes for the owner.
CREATE TABLE ledger.waiting_v1 (
    id text PRIMARY KEY,
    owner text NOT NULL,
    time_ms bigint NOT NULL,
    digest bytea NOT NULL,
    reason text NOT NULL,
    topic text NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL, timestamp_ms bigint, key bytea, value bytea NOT NULL
);
CREATE INDEX waiting_v1_owner ON ledger.waiting_v1 (owner);
CREATE INDEX waiting_v1_time ON ledger.waiting_v1 (time_ms);

-- How far the topics are booked: in the same transaction as what follows from them.
CREATE TABLE ledger.positions_v1 (
    cluster text NOT NULL, topic text NOT NULL, topic_id text NOT NULL, partition integer NOT NULL,
    next bigint NOT NULL CHECK (next >= 0),
    time_ms bigint NOT NULL DEFAULT 0,        -- the newest event's
    PRIMARY KEY (cluster, topic, topic_id, partition)
);

CREATE VIEW ledger.balances_v1 AS
SELECT kind, owner, asset, decimals, overdraft,
    CASE WHEN kind IN ('client', 'fees', 'clearing') THEN credits_posted - debits_posted
         ELSE debits_posted - credits_posted END AS units,
    CASE WHEN kind IN ('client', 'fees', 'clearing') THEN debits_pending ELSE credits_pending END AS held_units,
    debits_posted, credits_posted, debits_pending, credits_pending, accounts_v1.id
FROM ledger.accounts_v1 JOIN ledger.assets_v1 ON asset = code;

REVOKE ALL ON ALL TABLES IN SCHEMA ledger FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger TO m1cep_ledger, m1cep_risk;
GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO m1cep_ledger, m1cep_risk;
GRANT INSERT ON ledger.postings_v1, ledger.transfers_v1, ledger.accounts_v1, ledger.assets_v1, ledger.holds_v1,
    ledger.waiting_v1, ledger.positions_v1 TO m1cep_ledger;
GRANT UPDATE (debits_pending, debits_posted, credits_pending, credits_posted) ON ledger.accounts_v1 TO m1cep_ledger;
GRANT UPDATE (next, time_ms) ON ledger.positions_v1 TO m1cep_ledger;
GRANT DELETE ON ledger.holds_v1, ledger.waiting_v1 TO m1cep_ledger;
