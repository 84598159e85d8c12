-- cluster_identity: which cluster this is, on which timeline, and whether it may be published from.
-- Index: none.    Lock: none.
-- Trap: pg_control_checkpoint() shows the old timeline until the first checkpoint after a
-- promotion; the name of the present WAL file does not. It cannot be asked on a standby.
select pg_is_in_recovery(),
       (select system_identifier from pg_control_system()),
       case when not pg_is_in_recovery()
            then ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int end;

-- cluster_epoch_newest: where a relay led last; whether that is where it leads now; whether
-- transaction ids are another numbering's since; and how far the windows of the log have reached.
-- Index: epoch_nth_key, window_n_fence, event_txid_idx, a few probes each, and one for each open transaction.    Lock: none.
-- Guarantee: in another cluster they are. In the same one, a row that a dump or COPY has brought was
-- written by a transaction of now, its xmin, and says itself by which it was written first; files
-- that were copied (a standby, a snapshot of the disk) have both as they were, and count ids on.
-- Five kinds of evidence, as one number can be the same by chance: the note of the last epoch was
-- written by another transaction than it says; the log is another table; several of its entries
-- were written by one transaction, which the relay never does; ids of the future; ids of
-- transactions that are open here, of rows that can be seen.
-- Trap: whatever rewrites outbox.epoch (ALTER TABLE, pg_repack) looks like a copy. Then an event is
-- missed if its transaction is in progress at that moment, below what is published.
with newest as (
    select numbering, snapshot, reach, xmin::text as written_by
    from outbox.window order by number desc, step desc limit 100)
select e.nth, e.id::text, e.numbering, e.floor, (select max(reach) from newest),
       coalesce(e.system_identifier = %(system)s and e.timeline = %(timeline)s and e.log = 'outbox.window'::regclass
                and e.database = (select oid from pg_database where datname = current_database()), false),
       e.nth is not null and (e.system_identifier <> %(system)s
                              or e.written_by is distinct from e.txid::text::bigint & 4294967295
                              or e.log is distinct from 'outbox.window'::regclass)
       or exists (select from newest where numbering = coalesce(e.numbering, 0)
                  group by written_by having count(*) > 1)
       or exists (select from newest where numbering = coalesce(e.numbering, 0)
                  and pg_snapshot_xmax(snapshot) > pg_snapshot_xmax(pg_current_snapshot()))
       or coalesce(e.floor, 0) = 0
          and exists (select from outbox.event where txid >= pg_snapshot_xmax(pg_current_snapshot()))
       or coalesce(e.floor, 0) = 0
          and exists (select from pg_snapshot_xip(pg_current_snapshot()) open
                      join outbox.event on event.txid = open)
from (values (1)) one
left join lateral (select *, xmin::text::bigint as written_by from outbox.epoch order by nth desc limit 1) e on true;

-- cluster_floor: the highest position, beyond what windows have reached, of an event whose
-- transaction this cluster has yet to come to.
-- Index: event_position_idx, from there on: once in the life of a restored database.    Lock: none.
-- Guarantee: no event that was written here counts. What is visible was written by a transaction
-- that is.
select coalesce(max(position), 0)
from outbox.event
where position > %(reach)s and not pg_visible_in_snapshot(txid, pg_current_snapshot());

-- cluster_sequence: what to do when the sequence stands behind the newest position.
-- Index: event_position_idx, the last entry of each leaf.    Lock: none.
-- Why: a copy without the state of the sequence. Positions would be given out twice.
select 'sequence outbox.event_position stands behind position ' || newest.position || ', which an event has: a restore '
       || 'left its state out. Stop the writers, write anew what they have written since, and SELECT '
       || 'setval(''outbox.event_position'', ' || newest.position || ')'
from (select position from outbox.event order by position desc limit 1) newest
where newest.position > coalesce(pg_sequence_last_value('outbox.event_position'), 0);

-- cluster_epoch_add: a relay leads where none has led before.
-- Index: epoch_nth_key.    Lock: the new row's.
-- Guarantee: of two relays that find the same one adds the row; the other reads it. After a restore
-- it is two rows, in one transaction.
insert into outbox.epoch (nth, system_identifier, timeline, database, log, txid, numbering, floor)
select %(nth)s, %(system)s, %(timeline)s, oid, 'outbox.window'::regclass, pg_current_xact_id(), %(numbering)s, %(floor)s
from pg_database where datname = current_database()
on conflict (nth) do nothing
returning id::text;

-- cluster_milestones_forgotten: milestones say by their snapshots what is old; those of another
-- numbering cannot be compared with the ids of this one.
-- Index: none (some sixty rows).    Lock: those rows'.
delete from outbox.milestone;

-- cluster_outbox: what the outbox is called for ever: by the first cluster and timeline that a relay
-- has led on, which a promotion does not change.
-- Index: none (a handful of rows).    Lock: none.
select id::text from outbox.epoch order by first_seen, id limit 1;

-- cluster_schema: what to do where there is no outbox in the schema; null where there is one.
-- Index: none.    Lock: none.
select case when to_regclass('outbox.event') is null or to_regclass('public.outbox_alembic_version') is null
            then 'the schema outbox is missing in this database: run `relay migrate`' end;

-- cluster_version: what `relay migrate` wrote last.
-- Index: none (one row).    Lock: none.
select version_num from public.outbox_alembic_version;

-- cluster_serves_since: for which version code must be made, or for a later one, to work on the schema.
-- Index: none.    Lock: none.
-- Why: a relay of the release before may start, or be elected, between the migration and its own
-- upgrade. Asked only where the schema is later than the relay.
select outbox.serves_since();

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
from pg_class where oid = 'outbox.event'::regclass and relrowsecurity;
