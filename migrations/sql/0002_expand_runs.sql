-- Once in a database:
-- What the completion of a run writes, all of it in one commit together with the run's events.

-- traces: started by the run runner, completed with the run.
create table public.traces (
    id           text        primary key,
    tenant_id    text        not null,
    run_id       text        not null,
    status       text        not null default 'open',
    run_status   text,
    started_at   timestamptz not null default clock_timestamp(),
    completed_at timestamptz,
    constraint trace_status_is_open_or_completed check (status in ('open', 'completed')),
    constraint completed_trace_says_when_and_how
        check ((status = 'completed') = (completed_at is not null and run_status is not null))
);
create index traces_run_idx on public.traces (tenant_id, run_id);

-- incidents: one for every run that did not succeed.
create table public.incidents (
    id                    uuid        primary key,
    tenant_id             text        not null,
    run_id                text        not null,
    run_status            text        not null,
    agent_id              text,
    error_code            text,
    error_message         text,
    trace_id              text,
    is_synthetic          boolean     not null,
    synthetic_scenario_id text,
    created_at            timestamptz not null default clock_timestamp(),
    constraint one_incident_a_run unique (tenant_id, run_id)
);

-- policy_evaluations: one for every run.
create table public.policy_evaluations (
    id           uuid        primary key,
    tenant_id    text        not null,
    run_id       text        not null,
    policy       text        not null,
    outcome      text        not null,
    reason       text        not null,
    is_synthetic boolean     not null,
    evaluated_at timestamptz not null default clock_timestamp(),
    constraint outcome_is_compliant_or_violated check (outcome in ('compliant', 'violated')),
    constraint one_evaluation_of_a_policy_a_run unique (tenant_id, run_id, policy)
);

-- domain_acks: what became of each rollback action, written after the rollback in a transaction of its own.
create table public.domain_acks (
    id               uuid        primary key,
    tenant_id        text        not null,
    run_id           text        not null,
    call_id          uuid        not null,
    domain           text        not null,
    action           text        not null,
    status           text        not null,
    reason           text        not null,
    action_succeeded boolean     not null,
    action_error     text,
    created_at       timestamptz not null default clock_timestamp(),
    constraint ack_status_is_rolled_back check (status = 'rolled_back')
);
create index domain_acks_run_idx on public.domain_acks (tenant_id, run_id);

-- run_completions: the result of a run, for whoever completes it again. Written last.
create table public.run_completions (
    tenant_id    text        not null,
    run_id       text        not null,
    call_id      uuid        not null,
    arguments    jsonb       not null,
    result       jsonb       not null,
    completed_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, run_id)
);

-- run_claims: written first; a second completion of the same run waits here until the first one has ended.
-- The deferred key makes PostgreSQL refuse every commit that comes before the result is written, even one that a domain's
-- code smuggles through the raw connection: half a completion cannot be committed.
create table public.run_claims (
    tenant_id text not null,
    run_id    text not null,
    primary key (tenant_id, run_id),
    constraint claimed_run_is_completed_in_the_same_commit
        foreign key (tenant_id, run_id) references public.run_completions deferrable initially deferred
);
