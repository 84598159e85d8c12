-- The outbox: an append-only ring of events, the log of windows that is the relay's cursor, and the
-- relay's lease.

create schema outbox;
comment on schema outbox is 'Transactional outbox: events written by services, read by the relay.';

-- is_legal: the limits of an event, for writers that do not come through Python; raises a sentence
-- that names the field, the limit and never the value.
--
-- Naive: a CHECK for each field. PostgreSQL reads every CHECK anew for every INSERT statement, and
-- seven of them took 86 us of a 111 us INSERT here; this takes 7 us. For the same reason lengths are
-- not written as counted repetitions: `{1,249}` alone took 28 us.
create function outbox.is_legal(
    topic text, key text, type text, content_type text, payload bytea, headers jsonb
) returns boolean language plpgsql immutable parallel safe set search_path = pg_catalog as $$
declare
    fault text;
begin
    if length(topic) between 1 and 249 and topic !~ '[^A-Za-z0-9._-]' and topic <> '.' and topic <> '..'
       and length(type) between 1 and 255 and length(content_type) between 1 and 255
       and type || content_type !~ '[[:cntrl:]]'
       and (key is null or octet_length(key) <= 8192)
       and (payload is null or octet_length(payload) <= 1000000)
       and headers = '{}'
    then
        return true;
    end if;
    fault := case
        when length(topic) not between 1 and 249 or topic ~ '[^A-Za-z0-9._-]' or topic in ('.', '..')
            then 'topic: 1 to 249 of A-Z a-z 0-9 . _ - are allowed, and neither . nor ..'
        when length(type) not between 1 and 255 or type ~ '[[:cntrl:]]'
            then 'type: 1 to 255 printable characters are allowed'
        when length(content_type) not between 1 and 255 or content_type ~ '[[:cntrl:]]'
            then 'content_type: 1 to 255 printable characters are allowed'
        when octet_length(key) > 8192
            then 'key: ' || octet_length(key) || ' bytes, at most 8192 are allowed'
        when octet_length(payload) > 1000000
            then 'payload: ' || octet_length(payload) || ' bytes, at most 1000000 are allowed'
        when jsonb_typeof(headers) <> 'object'
            then 'headers: a JSON object of names and texts is needed'
        when octet_length(headers::text) > 16384
            then 'headers: ' || octet_length(headers::text) || ' bytes as JSON, at most 16384 are allowed'
        when jsonb_path_exists(headers, '$.keyvalue() ? (@.value.type() != "string")')
            then 'headers: every value must be text'
        when jsonb_path_exists(headers, '$.keyvalue() ? (@.key like_regex "^(ce_.*|content-type)$" flag "i")')
            then 'headers: names ce_* and content-type are the relay''s'
        when jsonb_path_exists(headers, '$.keyvalue() ? (!(@.key like_regex "^[A-Za-z0-9][A-Za-z0-9._-]*$"))')
            or exists (select from jsonb_object_keys(headers) name where length(name) > 255)
            then 'headers: names are 1 to 255 of A-Z a-z 0-9 . _ - and begin with a letter or digit'
        when jsonb_path_exists(headers, '$.keyvalue() ? (@.value like_regex "[\\x01-\\x1f\\x7f-\\x9f]")')
            then 'headers: a value holds a control character'
    end;
    if fault is null then
        return true;
    end if;
    raise check_violation using message = 'outbox event refused: ' || fault;
end;
$$;

-- event: one row an event, written once and never updated, so publishing leaves no dead tuple.
--
-- position   order inside a window. Cache 1 and never restarted: a cached block would hand a later
--            transaction a lower position than an earlier one of the same key.
-- txid       the writing transaction. Top level even inside a savepoint, as pg_snapshot lists top
--            level ids only.
-- Both have a default and are not for writers: `generated always` refuses a position, and the relay
-- refuses to lead while any role but the owner may write a txid.
--
-- The ring: a position chooses its leaf, 2^20 positions each, eight leaves. Nothing is to be
-- created in advance, and an old snapshot cannot misread a leaf that did not exist yet.
create table outbox.event (
    position     bigint      not null generated always as identity (sequence name outbox.event_position cache 1 no cycle),
    txid         xid8        not null default pg_current_xact_id(),
    id           uuid        not null default gen_random_uuid(),
    topic        text        not null,
    key          text,
    type         text        not null,
    content_type text        not null default 'application/json',
    payload      bytea,
    headers      jsonb       not null default '{}',
    created_at   timestamptz not null default clock_timestamp(),
    constraint event_is_legal check (outbox.is_legal(topic, key, type, content_type, payload, headers))
) partition by list (((position >> 20) & 7));

create table outbox.event_0 partition of outbox.event for values in (0);
create table outbox.event_1 partition of outbox.event for values in (1);
create table outbox.event_2 partition of outbox.event for values in (2);
create table outbox.event_3 partition of outbox.event for values in (3);
create table outbox.event_4 partition of outbox.event for values in (4);
create table outbox.event_5 partition of outbox.event for values in (5);
create table outbox.event_6 partition of outbox.event for values in (6);
create table outbox.event_7 partition of outbox.event for values in (7);

-- What became visible is found by txid; a page of a large window is found by position.
create index event_txid_idx on outbox.event (txid);
create index event_position_idx on outbox.event (position);

-- emit: the writer's door for any client in any language. `begin atomic` binds every name when the
-- function is made, so no search_path of a caller can put another object in its place.
create function outbox.emit(topic text, key text, type text, payload bytea, headers jsonb default '{}')
returns uuid language sql volatile security definer
begin atomic
    insert into outbox.event (topic, key, type, payload, headers)
    values (emit.topic, emit.key, emit.type, emit.payload, emit.headers)
    returning id;
end;
comment on function outbox.emit(text, text, text, bytea, jsonb) is
    'Adds an event to the outbox in the caller''s transaction; returns its idempotency key.';
-- By this function alone a role can write events and nothing else: it runs with the owner's rights.
revoke execute on function outbox.emit(text, text, text, bytea, jsonb) from public;

-- window: the cursor as an append-only log. Step 0 opens window `number` and fixes its snapshot S;
-- C, what was visible before, is the snapshot of window number - 1. Later steps say how far inside
-- it the relay got, the last one closes it; opening window n + 1 closes window n as well. Each row
-- is a commit of its own.
--
-- A single row that is updated would be simpler, but under a held snapshot its dead versions make
-- every write and read walk them: 8,800 updates/s fell to 770 in our measurement, where appends
-- stayed at 7,000 to 9,700.
create table outbox.window (
    number        bigint      not null,
    step          integer     not null,
    snapshot      pg_snapshot,
    last_position bigint      not null default 0,
    closed        boolean     not null default false,
    term          bigint      not null,
    stored_at     timestamptz not null default clock_timestamp(),
    constraint opening_step_has_a_snapshot check ((step = 0) = (snapshot is not null))
) partition by list (((number >> 16) & 3));

create table outbox.window_0 partition of outbox.window for values in (0);
create table outbox.window_1 partition of outbox.window for values in (1);
create table outbox.window_2 partition of outbox.window for values in (2);
create table outbox.window_3 partition of outbox.window for values in (3);

-- The fence: one writer only can write the next row. Unique in the leaf is unique in the table, as
-- the number chooses the leaf; the parent cannot say so, since its partition key is an expression.
create unique index window_0_fence on outbox.window_0 (number, step);
create unique index window_1_fence on outbox.window_1 (number, step);
create unique index window_2_fence on outbox.window_2 (number, step);
create unique index window_3_fence on outbox.window_3 (number, step);

-- Window 0 saw nothing: the first real window reads every event there is.
insert into outbox.window (number, step, snapshot, closed, term) values (0, 0, '1:1:', true, 0);

-- lease: who leads. One row; `term` rises by one with each leader. All times are this database's.
-- blocked_*: the event that the leader cannot publish, for `relay status`, which is another
-- process.
create table outbox.lease (
    one            boolean     primary key default true check (one),
    owner          text,
    term           bigint      not null default 0,
    expires_at     timestamptz not null default '-infinity',
    blocked_event  uuid,
    blocked_reason text,
    blocked_since  timestamptz
) with (fillfactor = 50);
insert into outbox.lease default values;

-- epoch: a cluster and timeline that the relay has led on. Places (ce_sequence) are comparable
-- inside one epoch only.
create table outbox.epoch (
    id                uuid        primary key default gen_random_uuid(),
    system_identifier bigint      not null,
    timeline          integer     not null,
    first_seen        timestamptz not null default clock_timestamp(),
    unique (system_identifier, timeline)
);

-- parked: events that were set aside with a reason, as copies, so that the ring need not be kept
-- for their sake.
create table outbox.parked (
    position  bigint      primary key,
    id        uuid        not null unique,
    topic     text        not null,
    key       text,
    reason    text        not null,
    parked_at timestamptz not null default clock_timestamp()
);
