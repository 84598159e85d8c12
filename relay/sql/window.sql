-- window_snapshot: S, what is visible at this moment, as text.
-- Index: none.    Lock: none.
-- Guarantee: taken before this transaction has an id of its own, so S never lists the relay itself.
select pg_current_snapshot()::text;

-- window_plan: where the events of a window lie: for each block of 2^chunk_bits positions the
-- first, the last, how many.
-- Index: event_txid_idx, one range scan for each range of ids and leaf.    Lock: none.
-- Guarantee: the ranges are exactly "visible in S and not in C"; the rows of transactions in
-- progress at S are not read.
-- Trap: never cut or order by txid: it is handed out before the row lock of a key is won.
select min(e.position), max(e.position), count(*),
       max(coalesce(octet_length(e.payload), 0) + coalesce(octet_length(e.key), 0)) + 1024
from unnest(%(low)s::text::xid8[], %(high)s::text::xid8[]) as r (low, high)
join outbox.event e on e.txid >= r.low and e.txid < r.high
where e.position > %(after)s
group by e.position >> %(chunk_bits)s
order by e.position >> %(chunk_bits)s;

-- window_page: the events of a window within a stretch of positions of one leaf, in order, ready to
-- be sent.
-- Index: event_position_idx of that leaf alone.    Lock: none.
-- Guarantee: the same rows at every attempt, as C and S are those that were stored. An empty page
-- is not the end.
-- Trap: `order by position limit n` over a whole window would sort it: 5 to 26 s a page in a window
-- of 5 million.
select e.position, e.id::text, e.topic, e.key, e.type, e.content_type, e.payload,
       to_char(e.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       nullif(e.headers::text, '{}')
from outbox.event e
where e.position between %(first)s and %(last)s
  and ((e.position >> 20) & 7) = %(leaf)s
  and pg_visible_in_snapshot(e.txid, %(until)s::text::pg_snapshot)
  and not pg_visible_in_snapshot(e.txid, %(since)s::text::pg_snapshot)
order by e.position
limit %(limit)s;

-- window_session: settings of the session's next transaction, local to it, so that a pooler in
-- between cannot lose them.
-- Index: none.    Lock: none.
-- Why: unpinned, the planner chose a parallel bitmap scan over a fresh ring (14.4 ms for 2.0), and
-- a plan that reads the heap when statistics are old. synchronous_commit: the entry that opens a
-- window is what makes its events durable; a stricter setting (remote_apply) is kept.
select set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true),
       set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true),
       set_config('jit', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true),
       set_config('work_mem', '64MB', true),
       set_config('synchronous_commit',
                  case when current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then 'on'
                       else current_setting('synchronous_commit') end, true);
