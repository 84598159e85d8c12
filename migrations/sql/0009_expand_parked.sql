-- Once in a database:
-- Records that a consumer could not handle, and those of the same key behind them.

-- hold: a key (of a topic, for a consumer) that is held back; one row too for each parked record without a key. It is the
-- lock of the key: whoever parks a record behind it takes it FOR KEY SHARE, whoever handles what is parked FOR UPDATE, and
-- deletes it with the last record. So no record is ever parked behind a hold that has just gone.
create table inbox.hold (
    id          bigint      generated always as identity primary key,
    consumer    text        not null,
    topic       text        not null,
    key         bytea,
    released_by text,
    released_at timestamptz
);
-- By its hash: a key may have more bytes than an entry of a B-tree (2,704).
create unique index hold_key on inbox.hold (consumer, topic, sha256(key));

-- parked: in the order of `id` within a hold. `reason` is null for a record that only waits behind another. A discarded
-- record stays as evidence, until somebody deletes it.
create table inbox.parked (
    id             bigint      generated always as identity primary key,
    hold_id        bigint      references inbox.hold,
    consumer       text        not null,
    topic          text        not null,
    partition      integer     not null,
    "offset"       bigint      not null,
    key            bytea,
    value          bytea,
    header_names   text[]      not null,
    header_values  bytea[]     not null,
    timestamp_ms   bigint      not null,
    event_id       uuid        not null,
    reason         text,
    parked_at      timestamptz not null default clock_timestamp(),
    discarded_at   timestamptz,
    discarded_by   text,
    discarded_why  text
);
-- With the event: in a topic that was made anew another one has the place.
create unique index parked_place on inbox.parked (consumer, topic, partition, "offset", event_id) where discarded_at is null;
create index parked_hold_idx on inbox.parked (hold_id, id);
