-- cluster_identity: which cluster this is, on which timeline, and whether it may be published from.
-- Index: none.    Lock: none.
-- Trap: pg_control_checkpoint() shows the old timeline until the first checkpoint after a
-- promotion; the name of the present WAL file does not. It cannot be asked on a standby.
select pg_is_in_recovery(),
       (select system_identifier from pg_control_system()),
       case when not pg_is_in_recovery()
            then ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int end;

-- cluster_epoch_add: remember a cluster and timeline the first time that a relay leads on it.
-- Index: epoch_system_identifier_timeline_key.    Lock: the new row's.
insert into outbox.epoch (system_identifier, timeline) values (%(system)s, %(timeline)s)
on conflict (system_identifier, timeline) do nothing;

-- cluster_epochs: every cluster and timeline that a relay has led on.
-- Index: none (a handful of rows).    Lock: none.
select id::text, system_identifier, timeline from outbox.epoch;

-- cluster_outbox: what the outbox is called for ever: by the first cluster and timeline that a relay
-- has led on, which a promotion does not change.
-- Index: none (a handful of rows).    Lock: none.
select id::text from outbox.epoch order by first_seen, id limit 1;

-- cluster_schema: the version of the outbox schema; null when it is missing.
-- Index: none.    Lock: none.
select case when to_regclass('outbox.event') is null then null else to_regclass('public.outbox_alembic_version')::text end;

-- cluster_version: what `relay migrate` wrote last.
-- Index: none (one row).    Lock: none.
select version_num from public.outbox_alembic_version;

-- cluster_hazards: what was changed about the table of events that would let the cursor miss or
-- reorder them.
-- Index: the catalogs'.    Lock: none.
-- Guarantee: positions come from a sequence of cache 1 that does not cycle, txids from their
-- default, and nobody but the owner can write either, in the table or in a leaf.
select 'sequence outbox.event_position has cache ' || seqcache
       || ', it must be 1: ALTER SEQUENCE outbox.event_position CACHE 1'
from pg_sequence where seqrelid = 'outbox.event_position'::regclass and seqcache <> 1
union all
select 'sequence outbox.event_position cycles: ALTER SEQUENCE outbox.event_position NO CYCLE'
from pg_sequence where seqrelid = 'outbox.event_position'::regclass and seqcycle
union all
select 'column outbox.event.position is not GENERATED ALWAYS AS IDENTITY any more: restore it'
from pg_attribute where attrelid = 'outbox.event'::regclass and attname = 'position' and attidentity <> 'a'
union all
select 'the default of outbox.event.txid is not pg_current_xact_id() any more: restore it'
from pg_attribute a
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = 'outbox.event'::regclass and a.attname = 'txid'
  and pg_get_expr(d.adbin, d.adrelid) is distinct from 'pg_current_xact_id()'
union all
select distinct 'role ' || coalesce(r.rolname, 'public') || ' may write outbox.' || c.relname || '.' || a.attname
       || ': REVOKE ' || g.privilege_type || ' ON outbox.' || c.relname
       || ' FROM it, and GRANT INSERT on the columns that writers fill only'
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attname in ('txid', 'position')
cross join lateral (select * from aclexplode(c.relacl) union all select * from aclexplode(a.attacl)) g
left join pg_roles r on r.oid = g.grantee
where c.relnamespace = 'outbox'::regnamespace and c.relname ~ '^event(_[0-7])?$'
  and g.privilege_type in ('INSERT', 'UPDATE') and g.grantee <> c.relowner and not coalesce(r.rolsuper, false)
union all
select 'role ' || r.rolname || ' may write outbox.event.txid through pg_write_all_data: REVOKE pg_write_all_data FROM it'
from pg_roles r
join pg_class c on c.oid = 'outbox.event'::regclass
where pg_has_role(r.oid, 'pg_write_all_data', 'USAGE') and r.rolname <> 'pg_write_all_data'
  and not r.rolsuper and not pg_has_role(r.oid, c.relowner, 'USAGE')
union all
select 'row level security is on for outbox.event: a policy would hide events from the relay; '
       || 'ALTER TABLE outbox.event DISABLE ROW LEVEL SECURITY'
from pg_class where oid = 'outbox.event'::regclass and relrowsecurity
union all
select 'events of another cluster (a restored dump): their transaction ids lie in the future here, so no window would '
       || 'hold them. Nothing was published and nothing is lost'
where exists (select from outbox.event where txid >= pg_snapshot_xmax(pg_current_snapshot()));
