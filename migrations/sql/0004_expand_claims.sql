-- Once in a database:
-- What transactions under a key left behind, for whoever runs the same key again (the general cross-domain transaction).

-- transaction_records: the outcome of a key. Written last. Kept until somebody deletes it; the claim goes with it:
--     delete from public.transaction_records where recorded_at < now() - interval '30 days'
create table public.transaction_records (
    key         text[]      not null,
    call_id     uuid        not null,
    arguments   jsonb       not null,
    -- json, not jsonb: a repeat gets the value exactly as the first call did, the order of its names included.
    outcome     json        not null,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (key)
);

-- transaction_claims: written first; a second transaction under the same key waits here until the first one has ended.
-- The deferred key makes PostgreSQL refuse every commit that comes before the outcome is written.
create table public.transaction_claims (
    key text[] not null,
    primary key (key),
    constraint claimed_key_is_recorded_in_the_same_commit
        foreign key (key) references public.transaction_records on delete cascade deferrable initially deferred
);

-- transaction_acks: what became of each rollback action, written after the rollback in a transaction of its own.
create table public.transaction_acks (
    id               uuid        primary key,
    key              text[]      not null,
    call_id          uuid        not null,
    domain           text        not null,
    action           text        not null,
    status           text        not null,
    reason           text        not null,
    action_succeeded boolean     not null,
    action_error     text,
    created_at       timestamptz not null default clock_timestamp(),
    constraint transaction_ack_status_is_rolled_back check (status = 'rolled_back')
);
create index transaction_acks_key_idx on public.transaction_acks (key);
