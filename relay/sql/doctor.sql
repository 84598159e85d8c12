-- doctor_server: which server this is, whether it is a standby, its clock, the session that it sees,
-- and how many databases' and this role's connections are open, of how many.
-- Index: the catalogs'.    Lock: none.
-- Why numbackends: pg_stat_activity hides from other roles which sessions are clients'.
select current_setting('server_version'), pg_is_in_recovery(),
       extract(epoch from clock_timestamp())::float8, pg_backend_pid(), current_user::text,
       (select coalesce(sum(numbackends), 0) from pg_stat_database)::int,
       (select setting::int from pg_settings where name = 'max_connections')
       - (select coalesce(sum(setting::int), 0) from pg_settings
          where name in ('superuser_reserved_connections', 'reserved_connections'))::int,
       (select count(*) from pg_stat_activity where usename = current_user)::int,
       (select rolconnlimit from pg_roles where rolname = current_user);

-- doctor_settings: what is set for this role in this database, in the settings' own units.
-- Index: none.    Lock: none.
select name, setting from pg_settings where name = any(%(names)s);

-- doctor_standbys: how many standbys are connected, and how many of them a commit waits for; null
-- where this role may not see that.
-- Index: none.    Lock: none.
select count(*), case when bool_and(sync_state is not null)
                      then count(*) filter (where sync_state in ('sync', 'quorum')) end
from pg_stat_replication;

-- doctor_privileges: what `relay run` needs and this role may not do.
-- Index: the catalogs'.    Lock: none.
select privilege || ' on ' || name
from (values
      ('select', 'outbox.event'), ('select', 'outbox.window'), ('insert', 'outbox.window'),
      ('select', 'outbox.lease'), ('update', 'outbox.lease'),
      ('select', 'outbox.epoch'), ('insert', 'outbox.epoch'),
      ('select', 'outbox.parked'), ('insert', 'outbox.parked'), ('update', 'outbox.parked'),
      ('delete', 'outbox.parked'),
      ('select', 'outbox.hold'), ('insert', 'outbox.hold'), ('update', 'outbox.hold'), ('delete', 'outbox.hold'),
      ('select', 'outbox.milestone'), ('insert', 'outbox.milestone'), ('delete', 'outbox.milestone'),
      ('select', 'outbox.parked_action'), ('select', 'public.outbox_alembic_version')) needed (privilege, name)
where not has_table_privilege(name, privilege)
union all
select 'select on sequence outbox.event_position'
where not has_sequence_privilege('outbox.event_position', 'select')
union all
select 'truncate on ' || inhrelid::regclass
from pg_inherits
where inhparent in ('outbox.event'::regclass, 'outbox.window'::regclass)
  and not has_table_privilege(inhrelid, 'truncate');

-- doctor_pending: of the events that wait, by topic: how many, the largest, the age of the oldest,
-- and how many have no key; looked at up to a limit.
-- Index: event_txid_idx, as status_pending.    Lock: none.
-- Why octet_length: of a large payload it reads the length alone.
select topic, count(*), max(octet_length(coalesce(payload, '')) + octet_length(coalesce(key, ''))),
       extract(epoch from clock_timestamp() - min(created_at))::float8, count(*) filter (where key is null)
from (select e.topic, e.payload, e.key, e.created_at
      from unnest(%(low)s::text::xid8[], %(high)s::text::xid8[], %(after)s::bigint[], %(upto)s::bigint[])
           as r (low, high, after, upto)
      join outbox.event e on e.txid >= r.low and e.txid < r.high
           and e.position + 0 > r.after and e.position + 0 <= r.upto
      limit %(limit)s) pending
group by topic order by 2 desc, 1;

-- doctor_recent: the topics of the newest events, waiting or published.
-- Index: event_position_idx, from the end of each leaf.    Lock: none.
select topic, count(*) filter (where key is null)
from (select topic, key from outbox.event order by position desc limit %(limit)s) newest
group by topic order by topic;
