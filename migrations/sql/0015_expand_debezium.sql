-- debezium: the outbox in the columns that Debezium's event router expects, as a door for code that writes such rows.
-- An INSERT into it is an INSERT into outbox.event: `aggregatetype` is the topic as it stands, `payload` bytes of JSON.
-- PostgreSQL updates such a simple view by itself, so RETURNING and row counts are as on a table.
--
-- Trap: a connector cannot read it. It reads the write-ahead log, in which there are tables only; and what polls a table
-- or a view by a growing column loses what commits out of order.
create view outbox.debezium as
    select id, topic as aggregatetype, key as aggregateid, type, payload from outbox.event;
comment on view outbox.debezium is
    'For writers of Debezium''s outbox rows; a connector reads the table outbox.event instead.';
