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
           or parked.position in (select event.position from outbox.event where event.txid = is_published.txid::text::xid8));
end;
drop table outbox.parked_action;
drop table outbox.hold;
drop index outbox.parked_id_idx;
drop index outbox.parked_key_idx;
-- Copies without a payload are of no use to anyone.
delete from outbox.parked;
alter table outbox.parked
    drop column type,
    drop column content_type,
    drop column payload,
    drop column headers,
    drop column created_at,
    drop column release_window,
    drop column released_at,
    add constraint parked_id_key unique (id);
