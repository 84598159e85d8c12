-- session_begin: begins a transaction of the relay.
-- Index: none.    Lock: none.
-- Why the isolation is named: the database's default may be serializable, which fails transactions
-- that met others; and each statement shall see what is there when it runs.
begin isolation level read committed;

-- session_commit: ends it; in a pipeline the server passes it over once a statement has failed.
-- Index: none.    Lock: none.
commit;

-- session_pinned: settings of the session's next transaction, local to it, so that a pooler in
-- between cannot lose them.
-- Index: none.    Lock: none.
-- Why: unpinned, the planner chose a parallel bitmap scan over a fresh ring (14.4 ms for 2.0), and
-- a plan that reads the heap when statistics are old. synchronous_commit: the entry that opens a
-- window is what makes its events durable; a stricter setting (remote_apply) is kept.
-- row_security off: a policy would hide events from the relay, and the cursor would pass them; so
-- PostgreSQL raises instead. statement_timeout: a large backlog is planned in one statement, which a
-- limit meant for web requests would cut off for ever.
-- lock_timeout: whoever holds what the relay waits for is frozen, or hangs: that is to be seen.
select set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true),
       set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true),
       set_config('jit', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true),
       set_config('work_mem', '64MB', true),
       set_config('row_security', 'off', true),
       set_config('statement_timeout', '0', true),
       set_config('lock_timeout', '2s', true),
       set_config('idle_in_transaction_session_timeout', '0', true),
       set_config('synchronous_commit',
                  case when current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then 'on'
                       else current_setting('synchronous_commit') end, true);

-- session_limited: how long a statement of the session's next transaction may take, local to it.
-- Index: none.    Lock: none.
-- Why: who only watches gives up on a slow database, and does not add to its load.
select set_config('statement_timeout', %(limit)s, true);
