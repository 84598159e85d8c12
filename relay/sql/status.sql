-- status_lease: who leads, in which term, and what it is stopped at.
-- Index: lease_pkey (one row).    Lock: none.
select case when expires_at > clock_timestamp() then owner end, term, blocked_event::text, blocked_reason,
       extract(epoch from clock_timestamp() - blocked_since)::float8
from outbox.lease;

-- status_manner: how the leaders of this outbox lead, as their sessions say it (core/manner.py).
-- Index: the catalogs'.    Lock: none.
select substr(application_name, length('relay pages ') + 1)
from pg_stat_activity
where datname = current_database() and application_name like 'relay pages _%%';

-- status_pending: how many committed events are not yet published, counted up to a limit, and the
-- age of the oldest.
-- Index: event_txid_idx, one range scan for each range of ids and leaf.    Lock: none.
-- The ranges are the open window's beyond last_position, and all that is visible and in no window
-- yet.
-- Why bounds of positions: they tell whose transaction ids a range speaks of (core/numbering.py).
select count(*), coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8
from (select e.created_at
      from unnest(%(low)s::text::xid8[], %(high)s::text::xid8[], %(after)s::bigint[], %(upto)s::bigint[])
           as r (low, high, after, upto)
      join outbox.event e on e.txid >= r.low and e.txid < r.high
           and e.position + 0 > r.after and e.position + 0 <= r.upto
      limit %(limit)s) pending;

-- status_parked: how many events are set aside, and how many keys and topics wait.
-- Index: parked_pkey.    Lock: none.
select (select count(*) from outbox.parked), (select count(*) from outbox.hold);

-- status_retained: the size of the ring of events, how many leaves are not empty, and the age of
-- the event at the lowest position.
-- Index: event_position_idx, the first entry of each leaf.    Lock: none.
select coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint,
       count(*) filter (where pg_relation_size(inhrelid) > 0),
       (select extract(epoch from clock_timestamp() - created_at)::float8
        from outbox.event order by position limit 1)
from pg_inherits where inhparent = 'outbox.event'::regclass;
