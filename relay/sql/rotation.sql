-- rotation_settings: of the transaction that empties a leaf; it holds a lock that others may meet.
-- Index: none.    Lock: none.
-- Why: whatever it may wait for is bounded. synchronous_commit local: a standby that hangs must not
-- keep the lock held; what the leaf's events rely on was committed before, and waited for.
-- Trap: a relay that is paused under the lock would stop every later leader's reads. The server ends
-- its session after a second.
select set_config('lock_timeout', '100ms', true),
       set_config('statement_timeout', '1s', true),
       set_config('idle_in_transaction_session_timeout', '1s', true),
       set_config('synchronous_commit', 'local', true),
       set_config('row_security', 'off', true),
       set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true),
       set_config('jit', 'off', true);

-- rotation_survey: the newest position, the size of each leaf (0: empty), and the newest milestone
-- that is older than the time to keep.
-- Index: milestone_pkey, backwards.    Lock: each leaf's, shared, for the moment of this statement.
select coalesce(pg_sequence_last_value('outbox.event_position'), 1),
       (select array_agg(case when pg_relation_size(leaf) = 0 then 0 else pg_total_relation_size(leaf) end order by n)
        from generate_series(0, 7) n, lateral (select ('outbox.event_' || n)::regclass as leaf) l),
       (select array_agg(pg_relation_size(leaf) order by n)
        from generate_series(0, 3) n, lateral (select ('outbox.window_' || n)::regclass as leaf) l),
       old.number, old.snapshot::text
from (values (1)) one
left join (select number, snapshot from outbox.milestone
           where published_at <= clock_timestamp() - make_interval(secs => %(retention_s)s)
           order by number desc limit 1) old on true;

-- rotation_mark: set down that all of a snapshot is published as of now, unless that was done
-- lately.
-- Index: milestone_pkey.    Lock: the new row's.
-- Guarantee: the time is that of the first milestone of this window, when nothing follows it.
insert into outbox.milestone (number, snapshot)
select %(number)s, %(snapshot)s::text::pg_snapshot
from outbox.lease
where lease.term = %(term)s and lease.owner = %(owner)s
  and not exists (select from (select published_at from outbox.milestone order by number desc limit 1) newest
                  where newest.published_at > clock_timestamp() - make_interval(secs => %(every_s)s))
on conflict (number) do nothing;

-- rotation_forget: milestones before the one that is in force are of no use any more.
-- Index: milestone_pkey.    Lock: those rows'.
delete from outbox.milestone
where number < %(number)s
  and exists (select from outbox.lease where lease.term = %(term)s and lease.owner = %(owner)s);

-- rotation_lock: keep everybody out of one leaf.
-- Index: none.    Lock: the leaf's, against readers and writers, or none at all.
-- Trap: without NOWAIT the lock is waited for, and every later writer of this leaf queues behind it.
lock table only outbox.{leaf} in access exclusive mode nowait;

-- rotation_term: a row while this term leads, where it began to.
-- Index: lease_pkey (one row), epoch_nth_key.    Lock: none.
-- Why no row lock: what may be emptied follows from the log of windows, whoever leads.
-- Trap: a pass has a connection of its own. Where the database was replaced by a restored one under
-- a relay that has not noticed, the lease is the same, and C is of another cluster's ids.
select
from outbox.lease
where lease.term = %(term)s and lease.owner = %(owner)s
  and not exists (
    select from (select *, xmin::text::bigint as written_by from outbox.epoch order by nth desc limit 1) e
    where e.written_by is distinct from e.txid::text::bigint & 4294967295
       or e.log is distinct from 'outbox.window'::regclass
       or e.system_identifier <> (select system_identifier from pg_control_system()));

-- rotation_needed: whether the leaf holds an event above the floor that C does not see.
-- Index: event_N_position_idx of this leaf, one probe; event_N_txid_idx, one for xmax and one for each
-- id in xip.    Lock: none.
-- Guarantee: asked under the lock, in a statement of its own, whose snapshot shows everything that
-- was committed before the lock was got; nothing can be added behind it.
-- Trap: without xip(C), what was open at C and has been committed since is thrown away unpublished.
-- The floor is 0 but in a restored database. There one leaf has both, events of the other cluster
-- whatever their ids and such of this one: it may have to be read whole, so first its newest is asked.
select case (select txid >= %(xmax)s::text::xid8 from only outbox.{leaf}
             where position > %(floor)s order by position desc limit 1)
       when true then true
       when false then exists (select from only outbox.{leaf} where txid >= %(xmax)s::text::xid8 and position + 0 > %(floor)s)
                    or exists (select from only outbox.{leaf} where txid = any(%(xip)s::text::xid8[])
                                                         and position + 0 > %(floor)s)
       else false end;

-- rotation_log_needed: whether the leaf of the log holds a window from `number` on, or one that is
-- younger than the time to keep.
-- Index: window_N_fence of this leaf, one probe each.    Lock: none.
-- Guarantee: under the lock, as above. `number` is the newest window but one: its snapshot is the C
-- of the newest.
select exists (select from only outbox.{leaf} where number >= %(number)s)
    or coalesce((select stored_at from only outbox.{leaf} order by number desc, step desc limit 1)
                > clock_timestamp() - make_interval(secs => %(keep_s)s), false);

-- rotation_truncate: empty one leaf.
-- Index: none.    Lock: held already.
-- Trap: an old snapshot reads the leaf as empty from now on. The relay takes no part in that, as it
-- never reads what its stored C covers.
truncate only outbox.{leaf};
