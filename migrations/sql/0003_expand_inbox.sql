-- Once in a database:
-- The inbox: a consumer notes an event's idempotency key in the transaction of its own writes, and so takes it once.

create schema inbox;
comment on schema inbox is 'Idempotency keys of the events that consumers have taken.';

create table inbox.seen (
    consumer text        not null,
    event_id uuid        not null,
    seen_at  timestamptz not null default clock_timestamp(),
    primary key (consumer, event_id)
);
