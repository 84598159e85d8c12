-- A fleet that shares several outboxes evenly: the leader says how many outboxes its process leads,
-- and a standby that leads fewer claims this one. One claim at a time is enough; it is found by the
-- leader's next renewal.
--
-- In the lease's row and not in a table of members: both sides read and write that row anyway, a
-- standby that wants nothing writes nothing, and no dead member has to be deleted.
alter table outbox.lease
    add column leads         integer not null default 0,
    add column claimed_by    text,
    add column claimed_leads integer,
    add column claimed_at    timestamptz;
