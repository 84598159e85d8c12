-- Once in a database:
-- What a transaction does outside the database, written before it is done, so that it can be undone after a crash.

-- transaction_intents: one row for each action outside, in a commit of its own before the action. A row whose transaction is
-- over, and which has no settlement, is what `relay recover` undoes.
create table public.transaction_intents (
    attempt_id uuid        not null,
    ordinal    integer     not null,
    key        text[]      not null,
    call_id    uuid        not null,
    action     text        not null,
    undo       text        not null,
    -- json, not jsonb: the undo gets the arguments exactly as the action did.
    arguments  json        not null,
    failures   integer     not null default 0,
    last_error text,
    created_at timestamptz not null default clock_timestamp(),
    primary key (attempt_id, ordinal)
);
create index transaction_intents_key_idx on public.transaction_intents (key);

-- transaction_settlements: written in the transaction itself: a row that can be seen says that its attempt was committed.
-- Whoever acts outside next, and `relay recover`, delete it together with its intents.
create table public.transaction_settlements (
    attempt_id uuid not null,
    primary key (attempt_id)
);
