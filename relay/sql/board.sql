-- board_passed: up to which position everything is published or parked.
-- Index: window_n_fence of each of the four leaves, two probes each.    Lock: none.
-- Why the window before: in a window that was just opened nothing is passed yet, and under load one
-- is always open. Whether it is fresh or carries parked events out (whose positions are low), all
-- that earlier windows reached is behind the cursor.
select greatest(newest.last_position, case when newest.closed then newest.reach else before.reach end)
from (select number, last_position, closed, reach
      from outbox.window order by number desc, step desc limit 1) newest
left join outbox.window before on before.number = newest.number - 1 and before.step = 0;

-- board_relays: the relays that are connected for this outbox, leader and standbys, and for how long.
-- Index: the catalogs'.    Lock: none.
-- Why by their sessions: a standby writes nothing, so no table knows of it; but each keeps the
-- connection on which it asks for the lease, and is named in it.
-- Trap: the name is cut at 63 bytes. pg_stat_activity hides the time from other roles.
-- Limit: behind a pooler that lends sessions out, names may be missing.
select substr(application_name, length('relay lease ') + 1),
       max(extract(epoch from clock_timestamp() - backend_start))::float8
from pg_stat_activity
where datname = current_database() and starts_with(application_name, 'relay lease ')
group by 1 order by 1
limit %(limit)s;

-- board_waiting: what is held, the longest first, as parked_list; then parked events without a key.
-- Index: hold_pkey, parked_key_idx for each hold, parked_pkey.    Lock: none.
-- Guarantee: no key is read, and no more than `limit` holds, `count_max` events behind each, and
-- `look_max` parked events: it is asked every few seconds, however much is parked.
select h.topic, case when h.key is null then 'topic' else 'key' end, h.event_id::text, left(h.reason, 500),
       extract(epoch from clock_timestamp() - h.since)::float8,
       case when h.key is null
            then (select count(*) from (select from outbox.parked p where p.topic = h.topic
                                        limit %(count_max)s) counted)
            else (select count(*) from (select from outbox.parked p
                  where p.topic = h.topic and hashtextextended(p.key, 0) = hashtextextended(h.key, 0)
                    and p.key = h.key limit %(count_max)s) counted) end,
       h.paused_by, h.released_at is not null
from (select * from outbox.hold order by id limit %(limit)s) h
union all
(select p.topic, 'event', p.id::text, left(p.reason, 500),
        extract(epoch from clock_timestamp() - p.parked_at)::float8, 1, null,
        p.released_at is not null or p.release_window is not null
 from (select * from outbox.parked order by position limit %(look_max)s) p
 where p.key is null and not exists (select from outbox.hold h where h.topic = p.topic and h.key is null)
 limit %(limit)s)
order by 5 desc, 1;
