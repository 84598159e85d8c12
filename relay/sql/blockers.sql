-- blockers_named: transactions that hold the outbox's events for longer than `after_s`, oldest
-- first; of a session that this role may not look into, the age is null.
-- Index: the catalogs'.    Lock: none.
-- Why pg_locks: it shows exactly who touched the table, prepared transactions too (without a pid),
-- and to every role. The text of the query is never read.
-- Trap: a prepared transaction is found by the lock on its own id. What pg_locks gives as its virtual
-- transaction is that of the session that prepared it until a restart, and its id afterwards.
-- Trap: pg_stat_activity hides state and age of other roles' sessions without pg_read_all_stats.
with locks as materialized (select * from pg_locks where granted and pid is distinct from pg_backend_pid())
select held.pid, p.gid, coalesce(nullif(a.application_name, ''), p.owner, ''),
       coalesce(a.state, case when p.gid is not null then 'prepared' end, ''),
       extract(epoch from clock_timestamp() - coalesce(a.xact_start, p.prepared))::float8 as age_s,
       held.writes
from (select l.pid, l.virtualtransaction, bool_or(l.mode = 'RowExclusiveLock') as writes
      from locks l
      where l.locktype = 'relation'
        and l.database = (select oid from pg_database where datname = current_database())
        and l.relation in (select 'outbox.event'::regclass
                           union all select inhrelid from pg_inherits where inhparent = 'outbox.event'::regclass)
      group by l.pid, l.virtualtransaction) held
left join pg_stat_activity a on a.pid = held.pid
left join locks x on held.pid is null and x.pid is null and x.locktype = 'transactionid'
                 and x.virtualtransaction = held.virtualtransaction
left join pg_prepared_xacts p on p.transaction = x.transactionid
where (a.pid is not null or p.gid is not null)
  and (coalesce(a.xact_start, p.prepared) is null
       or coalesce(a.xact_start, p.prepared) <= clock_timestamp() - make_interval(secs => %(after_s)s))
order by age_s desc nulls last;
