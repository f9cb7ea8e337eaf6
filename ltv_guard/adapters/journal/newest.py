"""The newest schema in SQLite, as the migrations lead to it: a new journal does without them.

A test holds the two together.
"""

from __future__ import annotations

from ltv_guard.adapters.journal.schema import NEWEST, VERSION_TABLE

_STATEMENTS = (
    """
    CREATE TABLE journal_version (
        version_num VARCHAR(32) NOT NULL,
        CONSTRAINT journal_version_pkc PRIMARY KEY (version_num)
    )
    """,
    """
    CREATE TABLE episodes (
        environment TEXT NOT NULL,
        user_id TEXT NOT NULL,
        product TEXT NOT NULL,
        loan_id TEXT NOT NULL,
        opened_at_ms BIGINT NOT NULL,
        closed_at_ms BIGINT,
        CONSTRAINT pk_episodes PRIMARY KEY (environment, user_id, product, loan_id)
    )
    """,
    """
    CREATE TABLE pauses (
        account TEXT NOT NULL,
        reason TEXT NOT NULL,
        since_ms BIGINT NOT NULL,
        until_ms BIGINT,
        CONSTRAINT pk_pauses PRIMARY KEY (account)
    )
    """,
    """
    CREATE TABLE runs (
        run_id TEXT NOT NULL,
        host TEXT NOT NULL,
        pid BIGINT NOT NULL,
        started_at_ms BIGINT NOT NULL,
        alive_at_ms BIGINT NOT NULL,
        ended_at_ms BIGINT,
        CONSTRAINT pk_runs PRIMARY KEY (run_id)
    )
    """,
    """
    CREATE TABLE acknowledgements (
        account TEXT NOT NULL,
        run_id TEXT NOT NULL,
        at_ms BIGINT NOT NULL,
        CONSTRAINT pk_acknowledgements PRIMARY KEY (account, run_id),
        CONSTRAINT fk_acknowledgements_account FOREIGN KEY(account) REFERENCES pauses (account) ON
            DELETE CASCADE,
        CONSTRAINT fk_acknowledgements_run_id FOREIGN KEY(run_id) REFERENCES runs (run_id) ON DELETE
            CASCADE
    )
    """,
    """
    CREATE TABLE bans (
        host TEXT NOT NULL,
        until_ms BIGINT NOT NULL,
        set_at_ms BIGINT NOT NULL,
        CONSTRAINT pk_bans PRIMARY KEY (host)
    )
    """,
    """
    CREATE TABLE last_sent (
        slot BIGINT NOT NULL,
        intent_id TEXT NOT NULL,
        CONSTRAINT pk_last_sent PRIMARY KEY (slot),
        CONSTRAINT ck_last_sent_one_row CHECK (slot = 1)
    )
    """,
    """
    CREATE TABLE intents (
        intent_id TEXT NOT NULL,
        environment TEXT NOT NULL,
        user_id TEXT NOT NULL,
        account TEXT NOT NULL,
        product TEXT NOT NULL,
        loan_id TEXT NOT NULL,
        direction TEXT NOT NULL,
        coin TEXT NOT NULL,
        amount TEXT NOT NULL,
        state TEXT NOT NULL,
        reason TEXT NOT NULL,
        coins_before TEXT NOT NULL,
        ltv_before TEXT NOT NULL,
        observed_at_ms BIGINT NOT NULL,
        seen_ids TEXT NOT NULL,
        created_at_ms BIGINT NOT NULL,
        updated_at_ms BIGINT NOT NULL,
        rescue_of TEXT,
        signed_at_ms BIGINT,
        recv_window_ms BIGINT,
        adjust_id TEXT,
        ret_code BIGINT,
        ret_msg TEXT,
        ltv_after TEXT,
        awaits_row BOOLEAN DEFAULT 0 NOT NULL,
        collateral_coin TEXT,
        collateral_before TEXT,
        contract_id TEXT,
        CONSTRAINT pk_intents PRIMARY KEY (intent_id),
        CONSTRAINT fk_intents_rescue_of FOREIGN KEY(rescue_of) REFERENCES intents (intent_id),
        CONSTRAINT uq_intents_rescue_of UNIQUE (rescue_of),
        CONSTRAINT ck_intents_state CHECK (state IN ('planned', 'sent', 'accepted', 'unknown',
            'withdrawn', 'rejected', 'confirmed', 'absent', 'ambiguous')),
        CONSTRAINT ck_intents_direction CHECK (direction IN ('add', 'reduce', 'repay', 'transfer')),
        CONSTRAINT ck_intents_rescue CHECK (rescue_of <> intent_id)
    )
    """,
    """
    CREATE UNIQUE INDEX uq_intents_open ON intents (environment, user_id, product, loan_id) WHERE
        state IN ('planned', 'sent', 'accepted', 'unknown') AND rescue_of IS NULL
    """,
    """
    CREATE UNIQUE INDEX uq_intents_open_rescue ON intents (environment, user_id, product, loan_id)
        WHERE state IN ('planned', 'sent', 'accepted', 'unknown') AND rescue_of IS NOT NULL
    """,
    """
    CREATE UNIQUE INDEX uq_intents_adjust_id ON intents (environment, user_id, product, adjust_id)
        WHERE adjust_id IS NOT NULL
    """,
    """
    CREATE INDEX ix_intents_updated ON intents (environment, user_id, updated_at_ms)
    """,
    """
    CREATE INDEX ix_intents_created ON intents (environment, user_id, created_at_ms)
    """,
    """
    CREATE TABLE sent_counts (
        environment TEXT NOT NULL,
        user_id TEXT NOT NULL,
        sent BIGINT NOT NULL,
        CONSTRAINT pk_sent_counts PRIMARY KEY (environment, user_id)
    )
    """,
    """
    CREATE INDEX ix_intents_open ON intents (environment, user_id, created_at_ms) WHERE state IN
        ('planned', 'sent', 'accepted', 'unknown')
    """,
    """
    CREATE INDEX ix_intents_newest ON intents (created_at_ms, intent_id)
    """,
    """
    CREATE TABLE notices (
        notice_id TEXT NOT NULL,
        target TEXT NOT NULL,
        level TEXT NOT NULL,
        title TEXT NOT NULL,
        body TEXT NOT NULL,
        made_at_ms BIGINT NOT NULL,
        CONSTRAINT pk_notices PRIMARY KEY (notice_id)
    )
    """,
    """
    CREATE TABLE alarms (
        alarm_id TEXT NOT NULL,
        event TEXT NOT NULL,
        account TEXT NOT NULL,
        product TEXT NOT NULL,
        loan_id TEXT NOT NULL,
        since_ms BIGINT NOT NULL,
        told_at_ms BIGINT NOT NULL,
        acknowledged_at_ms BIGINT,
        acknowledged_ltv TEXT,
        CONSTRAINT pk_alarms PRIMARY KEY (alarm_id)
    )
    """,
    """
    CREATE TABLE samples (
        environment TEXT NOT NULL,
        user_id TEXT NOT NULL,
        at_ms BIGINT NOT NULL,
        ltvs TEXT NOT NULL,
        prices TEXT NOT NULL,
        CONSTRAINT pk_samples PRIMARY KEY (environment, user_id, at_ms)
    )
    """,
    """
    CREATE TABLE leases (
        environment TEXT NOT NULL,
        account TEXT NOT NULL,
        user_id TEXT,
        egress TEXT NOT NULL,
        worker TEXT,
        epoch BIGINT NOT NULL,
        since_ms BIGINT NOT NULL,
        expires_at_ms BIGINT NOT NULL,
        handed_over TEXT,
        last_cycle_ms BIGINT,
        CONSTRAINT pk_leases PRIMARY KEY (environment, account)
    )
    """,
    """
    CREATE UNIQUE INDEX uq_leases_user ON leases (environment, user_id) WHERE user_id IS NOT NULL
    """,
    """
    CREATE TABLE workers (
        worker TEXT NOT NULL,
        environment TEXT NOT NULL,
        egress TEXT NOT NULL,
        host TEXT NOT NULL,
        pid BIGINT NOT NULL,
        since_ms BIGINT NOT NULL,
        expires_at_ms BIGINT NOT NULL,
        calls BIGINT DEFAULT '0' NOT NULL,
        calls_until_ms BIGINT DEFAULT '0' NOT NULL,
        CONSTRAINT pk_workers PRIMARY KEY (worker)
    )
    """,
    f"INSERT INTO {VERSION_TABLE} (version_num) VALUES ('{NEWEST}')",  # noqa: S608 - words of ours
)

SQLITE = tuple(" ".join(statement.split()) for statement in _STATEMENTS)
