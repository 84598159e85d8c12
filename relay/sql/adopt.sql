-- adopt_table: the table that a name means, by PostgreSQL's own rules (quotes, search_path); no row
-- if there is none.
-- Index: pg_class_oid_index.    Lock: none.
select n.nspname::text, c.relname::text, c.oid::bigint
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = to_regclass(%(name)s) and c.relkind in ('r', 'p');

-- adopt_columns: its columns and their types; of a domain the type below it.
-- Index: pg_attribute_relid_attnum_index.    Lock: none.
select a.attname::text, format_type(case t.typtype when 'd' then t.typbasetype else t.oid end, null)
from pg_attribute a join pg_type t on t.oid = a.atttypid
where a.attrelid = %(table)s::bigint::oid and a.attnum > 0 and not a.attisdropped;

-- adopt_take: the next unpublished rows of the table, in their order.
-- Index: the user's, if there is one on unpublished rows.    Lock: the rows.
-- Guarantee: who publishes or adopts a row meanwhile is waited for, and the row is then left out; the
-- limit counts what is locked, so none means that none is left. Two commands at once lock in the
-- same order: one waits at the first row of the other's batch, and never takes what lies behind it.
select {id}, {topic}, {key}, {type}, {payload}, {headers}
from {table}
where {published_at} is null
order by {order}
limit %(limit)s
for update;

-- adopt_look: every unpublished row, in order, to be looked at only.
-- Index: as adopt_take.    Lock: none.
select {id}, {topic}, {key}, {type}, {payload}, {headers}
from {table}
where {published_at} is null
order by {order};

-- adopt_insert: events, in the order of the arrays.
-- Index: none.    Lock: none.
-- Guarantee: ORDER BY stands below the identity column, so positions are drawn in that order.
insert into outbox.event (id, topic, key, type, content_type, payload, headers)
select id, topic, key, type, content_type, payload, headers::jsonb
from unnest(%(ids)s::uuid[], %(topics)s::text[], %(keys)s::text[], %(types)s::text[],
            %(content_types)s::text[], %(payloads)s::bytea[], %(headers)s::text[])
    with ordinality as added (id, topic, key, type, content_type, payload, headers, ordinal)
order by ordinal;

-- adopt_mark: the rows are published, as far as their table is concerned.
-- Index: the user's on the id.    Lock: the rows, which are locked already.
-- Guarantee: in the transaction of adopt_insert, so a row is an event or unpublished, never both.
update {table} set {published_at} = clock_timestamp()
where {id} = any(%(ids)s) and {published_at} is null;
