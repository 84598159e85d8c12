-- Once in a database:
drop function inbox.take(text, uuid[]);
drop function inbox.expire();
drop table inbox.generation;

-- One table again: a key may stand in two slots if a client of the last release wrote it.
alter table inbox.seen detach partition inbox.seen_0;
insert into inbox.seen_0 (consumer, event_id, seen_at)
    select consumer, event_id, seen_at from inbox.seen on conflict do nothing;
drop table inbox.seen;
alter table inbox.seen_0 drop constraint seen_0_slot, drop column slot;
alter table inbox.seen_0 rename constraint seen_0_pkey to seen_pkey;
alter table inbox.seen_0 rename to seen;
