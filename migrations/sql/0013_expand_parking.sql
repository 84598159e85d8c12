-- Parking: events that the broker will never take are set aside as whole copies, and the later ones
-- of their key behind them, until an operator retries or discards them.

-- parked: `position` is the event's place in the ring, and the order within its key: a writer who
-- holds the key's lock gets its positions in commit order. `release_window` is the window that
-- carries the event out; `released_at` the wish of an operator for an event without a key, which no
-- hold covers. The id is not unique here, as it is not in the ring: nobody stops a client from
-- writing one twice, and the relay must not fall over that.
alter table outbox.parked
    drop constraint parked_id_key,
    add column type           text        not null,
    add column content_type   text        not null,
    add column payload        bytea,
    add column headers        jsonb       not null,
    add column created_at     timestamptz not null,
    add column release_window bigint,
    add column released_at    timestamptz;

-- By the hash of the key: a key of 8,192 bytes does not fit into an index.
create index parked_key_idx on outbox.parked (topic, hashtextextended(key, 0), position);
create index parked_id_idx on outbox.parked (id);
create index parked_releasing_idx on outbox.parked (position) where release_window is not null;
create index parked_released_idx on outbox.parked (position) where released_at is not null;

-- hold: what must wait: a key of a topic, or, without a key, the topic. Begun by the leader when the
-- broker refuses, or by an operator (`paused_by`). Operators never end one: they set `released_at`,
-- and the leader ends it in the transaction that stores a window for what waits. `taken`: the leader
-- knows of it. `release_window`: the last window that carries some of its events, while more are left.
-- `until_topic`: the topic is missing, and the leader releases it once it is there.
create table outbox.hold (
    id          bigint      generated always as identity primary key,
    topic       text        not null,
    key         text,
    event_id    uuid,
    reason      text        not null,
    since       timestamptz not null default clock_timestamp(),
    paused_by   text,
    taken       boolean     not null default false,
    until_topic boolean     not null default false,
    released_at timestamptz,
    release_window bigint
);
create index hold_key_idx on outbox.hold (topic, hashtextextended(key, 0));
-- Empty but for the moments between an operator's wish and the leader's next look.
create index hold_news_idx on outbox.hold (id) where not taken or released_at is not null;

create index hold_awaited_idx on outbox.hold (topic) where until_topic;

-- parked_action: what operators did to parked events and to keys: who, when and why.
create table outbox.parked_action (
    id     bigint      generated always as identity primary key,
    at     timestamptz not null default clock_timestamp(),
    action text        not null check (action in ('retry', 'discard', 'pause', 'resume')),
    who    text        not null,
    why    text        not null,
    topic  text        not null,
    key    text,
    events uuid[]      not null,
    positions bigint[] not null default '{}'
);
comment on column outbox.parked_action.events is 'The events discarded, or the head of what was released.';
comment on column outbox.parked_action.positions is
    'Of the events discarded: one that is written again under its id is another, and is published.';
create index parked_action_positions_idx on outbox.parked_action using gin (positions) where action = 'discard';
-- When its row has made room, only its id can be asked about.
create index parked_action_discarded_idx on outbox.parked_action using gin (events) where action = 'discard';

-- is_published: as before, and an event that was discarded is not published, though it is parked no longer.
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
