-- Which cluster's transaction ids the outbox speaks of, so that a restored one can go on.

-- numbering: which of the outbox's numberings of transactions the snapshot is of. It begins anew where the outbox was
-- restored from a dump.
-- reach: no event at a higher position is in this window, or was in an earlier one.
alter table outbox.window
    add column numbering integer not null default 0,
    add column reach bigint not null default 0;

-- nth: in which order a relay has led on these; the next row has one more, and only one relay can write it.
-- database, log: the oids of the database and of outbox.window. A copy in the same cluster has others.
-- txid: the transaction that has written this row. A copy of the row was written by another one, which its xmin tells.
-- numbering, floor: events at positions up to `floor` have ids of an earlier numbering than this.
alter table outbox.epoch
    add column nth integer,
    add column database oid,
    add column log oid,
    add column txid xid8,
    add column numbering integer not null default 0,
    add column floor bigint not null default 0;
comment on column outbox.epoch.txid is
    'The transaction that wrote this row. Whatever rewrites the table makes the relay take the outbox for a restored one.';

-- Rows of this cluster are taken for written here and now. Of others it stays unknown, which is the safe side.
update outbox.epoch set nth = old.nth
from (select id, row_number() over (order by first_seen, id) as nth from outbox.epoch) old where old.id = epoch.id;
update outbox.epoch
set database = (select oid from pg_database where datname = current_database()),
    log = 'outbox.window'::regclass,
    txid = pg_current_xact_id()
where system_identifier = (select system_identifier from pg_control_system());

-- What earlier windows have reached was not written down: at most as far as positions were given out, if that was here. Where
-- the schema is migrated only after a restore, nothing is known, and all that is kept is published again.
update outbox.window set reach = coalesce(pg_sequence_last_value('outbox.event_position'), 0)
where number = (select max(number) from outbox.window)
  and coalesce((select txid is not null from outbox.epoch order by nth desc limit 1), true);

alter table outbox.epoch alter column nth set not null;
alter table outbox.epoch add constraint epoch_nth_key unique (nth);
-- A dump that is restored in its own cluster comes to a place where a relay has led before.
alter table outbox.epoch drop constraint epoch_system_identifier_timeline_key;

-- is_published: as in 0013, and right in a restored database too. `done` is the last window that is published.
--
-- An event says by its position of which numbering its id is. Of an earlier one than that of `done`, it is published; of the
-- same, if the snapshot sees it; of a later one, it is not. Events that are not there any more were published and have made
-- room: in a database that was restored that is all that can be known of an id alone.
--
-- Trap: from a restore until a relay leads, nobody has told which ids are whose. Until then it is false.
create or replace function outbox.is_published(txid bigint, event_ids uuid[])
returns boolean language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select (
        cardinality(is_published.event_ids) = 0
        and not exists (select from outbox.event where event.txid = is_published.txid::text::xid8)
        or exists (
            select from (select number, closed from outbox.window order by number desc, step desc limit 1) newest
            join outbox.window done on done.number = newest.number - case when newest.closed then 0 else 1 end and done.step = 0
            cross join lateral (
                select coalesce(max(floor) filter (where numbering = done.numbering), 0) as above,
                       coalesce(min(floor) filter (where numbering > done.numbering), 9223372036854775807) as upto,
                       coalesce(max(numbering), 0) as present
                from outbox.epoch) known
            where (known.present > 0 or pg_visible_in_snapshot(is_published.txid::text::xid8, done.snapshot))
              and not exists (
                select from outbox.event
                where event.txid = is_published.txid::text::xid8 and event.position > known.above
                  and (event.position > known.upto or not pg_visible_in_snapshot(event.txid, done.snapshot))))
        and not exists (
            select from (select * from outbox.epoch order by nth desc limit 1) led
            join outbox.epoch written on written.nth = led.nth
            where led.system_identifier <> (select control.system_identifier from pg_control_system() control)
               or led.log is distinct from 'outbox.window'::regclass
               or (led.txid::text::bigint & 4294967295) is distinct from written.xmin::text::bigint)
    ) and not exists (
        select from outbox.parked
        where parked.id = any (is_published.event_ids)
           or parked.position in (select event.position from outbox.event where event.txid = is_published.txid::text::xid8))
    and not exists (
        select from outbox.parked_action
        where action = 'discard'
          and (positions && array(select event.position from outbox.event
                                  where event.txid = is_published.txid::text::xid8)
               or events && is_published.event_ids
                  and not exists (select from outbox.event where event.txid = is_published.txid::text::xid8)));
end;
