-- A relay of the release before would compare ids of two clusters.
do $$
begin
    if exists (select from outbox.epoch where numbering > 0) then
        raise exception 'this outbox was restored from a dump: the schema of the release before cannot tell whose '
            'transaction ids are whose';
    end if;
end;
$$;

create or replace function outbox.is_published(txid bigint, event_ids uuid[])
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
           or parked.position in (select event.position from outbox.event where event.txid = is_published.txid::text::xid8))
    and not exists (
        select from outbox.parked_action
        where action = 'discard'
          and (positions && array(select event.position from outbox.event
                                  where event.txid = is_published.txid::text::xid8)
               or events && is_published.event_ids
                  and not exists (select from outbox.event where event.txid = is_published.txid::text::xid8)));
end;

-- One row for each cluster and timeline, the newest.
delete from outbox.epoch older using outbox.epoch newer
where newer.system_identifier = older.system_identifier and newer.timeline = older.timeline and newer.nth > older.nth;
alter table outbox.epoch
    drop column nth,
    drop column database,
    drop column log,
    drop column txid,
    drop column numbering,
    drop column floor,
    add constraint epoch_system_identifier_timeline_key unique (system_identifier, timeline);
alter table outbox.window drop column numbering, drop column reach;
