-- cursor_newest: the newest entry of the log of windows, with the snapshots before and of its
-- window.
-- Index: window_n_fence of each of the four leaves, one probe each.    Lock: none.
-- Guarantee: read from the log itself after every lost connection; nothing that was remembered is
-- used.
-- Of another numbering than its window's, the snapshot before is no C for it. The floors are those of
-- each numbering but the first, in order: of a database that was never restored there is none.
select newest.number, newest.step, since.snapshot::text, opened.snapshot::text, newest.last_position, newest.closed,
       (extract(epoch from opened.stored_at) * 1000000)::bigint, opened.numbering, newest.reach,
       (select coalesce(array_agg(floor order by numbering), '{}')
        from (select numbering, max(floor) as floor from outbox.epoch where numbering > 0 group by numbering) begun)
from (select number, step, last_position, closed, reach
      from outbox.window order by number desc, step desc limit 1) newest
join outbox.window opened on opened.number = newest.number and opened.step = 0
left join outbox.window since on since.number = newest.number - 1 and since.step = 0
                             and since.numbering = opened.numbering;

-- cursor_durable: makes the transaction that loads the cursor one that waits for its flush, and for
-- synchronous standbys.
-- Index: none.    Lock: none.
-- Why: the entry that opened the window was visible to others before its commit had waited to the
-- end, if the session of that leader was ended meanwhile. What is loaded is sent at once, so it has
-- to be where its commit would have had it.
select pg_logical_emit_message(true, 'outbox', '');

-- cursor_append: the next entry; it opens a window (step 0, with its snapshot), advances inside it,
-- or closes it.
-- Index: window_n_fence (unique).    Lock: the new row's; none of a writer's.
-- Guarantee: 0 rows when the term is over; a unique violation when another relay wrote this entry
-- first. Either way the caller steps down. A takeover between this statement's snapshot and its
-- commit is caught by the unique index: the new leader's next entry has the same key.
insert into outbox.window (number, step, snapshot, last_position, closed, term, numbering, reach)
select %(number)s, %(step)s, %(snapshot)s::text::pg_snapshot, %(last_position)s, %(closed)s, lease.term,
       %(numbering)s, %(reach)s
from outbox.lease where lease.term = %(term)s and lease.owner = %(owner)s
returning (extract(epoch from stored_at) * 1000000)::bigint;

-- cursor_block: which event the broker refuses, for `relay status`.
-- Index: lease_pkey.    Lock: the lease's row, for a moment.
update outbox.lease
set blocked_event = %(event)s, blocked_reason = %(reason)s,
    blocked_since = case when blocked_event = %(event)s then blocked_since else clock_timestamp() end
where term = %(term)s and owner = %(owner)s;

-- cursor_unblock: no event is refused any more.
-- Index: lease_pkey.    Lock: the lease's row, for a moment, if one was.
update outbox.lease set blocked_event = null, blocked_reason = null, blocked_since = null
where term = %(term)s and owner = %(owner)s and blocked_event is not null;

-- cursor_end_former: ends the sessions in which earlier leaders of this outbox write the log.
-- Index: none.    Lock: none.
-- Why: a relay that is frozen between its entry and the commit (a paused machine) keeps the entry of
-- the next leader, which has the same key, waiting for as long as it is frozen.
-- Trap: idle_in_transaction_session_timeout does not end it: in a pipeline the session is not idle
-- before the Sync that comes with the commit.
-- Not one whose commit waits for a standby: ended, it would be committed without it, and what is
-- behind it would have to wait for that standby all the same (cursor_durable).
-- Limit: those of the same role, as others may not be ended.
select count(pg_terminate_backend(pid))
from pg_stat_activity
where datname = current_database() and usename = current_user
  and application_name = 'relay cursor' and pid <> pg_backend_pid()
  and wait_event is distinct from 'SyncRep';
