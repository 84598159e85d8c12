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
