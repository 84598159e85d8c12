-- Whether the events of a commit have reached Kafka, for the one who made it.

-- Once in a database:
-- txid: the transaction that wrote the record, in the row itself: whoever sees the row knows that it was committed.
-- bigint: of an xid8 in `public` SQLAlchemy would warn in each of the user's autogenerates, as it does not know the type.
-- A volatile default would rewrite the table under its lock. A constant rewrites nothing, and this migration's own id is
-- right for the rows that are there: the lock has waited for all their transactions, so whatever sees this one sees them.
do $$
begin
    execute format('alter table public.run_completions add column txid bigint not null default %s', pg_current_xact_id());
    execute format('alter table public.transaction_records add column txid bigint not null default %s', pg_current_xact_id());
end;
$$;
alter table public.run_completions alter column txid set default pg_current_xact_id()::text::bigint;
alter table public.transaction_records alter column txid set default pg_current_xact_id()::text::bigint;

-- In each outbox:
-- is_published: whether a window that is published covers the transaction, and none of its events was set aside.
-- The newest window is published when it says so (`closed`), the one before it always: a window is opened when the last one
-- is done. Snapshots only grow, so that one window covers all earlier ones.
--
-- Trap: an id of a transaction that was rolled back is "visible" too. So the caller hands in an id that it has read from a
-- row of that very transaction.
-- All events of the transaction count, those too that its record does not list: it may have written some by another door
-- (`outbox.emit`, Outbox.add, a trigger).
--
-- Trap: after a restore the ids here and those in the windows can be of different clusters, and any answer would be by
-- chance. Then it is false, and so it is while the relay refuses to lead for the same reason.
--
-- It runs with the owner's rights, so that its caller needs none on the relay's tables, and every name in it was bound when
-- it was made.
create function outbox.is_published(txid bigint, event_ids uuid[])
returns boolean language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select (
        cardinality(is_published.event_ids) = 0
        and not exists (select from outbox.event where event.txid = is_published.txid::text::xid8)
        or exists (
            select from (select number, closed from outbox.window order by number desc, step desc limit 1) newest
            join outbox.window published
                on published.number = newest.number - case when newest.closed then 0 else 1 end and published.step = 0
            where pg_visible_in_snapshot(is_published.txid::text::xid8, published.snapshot))
        and not exists (
            select from outbox.epoch
            where system_identifier <> (select control.system_identifier from pg_control_system() control))
    ) and not exists (
        select from outbox.parked
        where parked.id = any (is_published.event_ids)
           or parked.position in (select event.position from outbox.event where event.txid = is_published.txid::text::xid8));
end;
comment on function outbox.is_published(bigint, uuid[]) is
    'Whether Kafka has acknowledged the events of a committed transaction of this cluster.';
revoke execute on function outbox.is_published(bigint, uuid[]) from public;
