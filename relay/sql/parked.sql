-- parked_list: what is held, by topic and key, with the event that began it, why, since when, how
-- many events wait, and by whom it is paused; then each parked event without a key.
-- Index: parked_key_idx and parked_id_idx for each hold.    Lock: none.
-- Why the event may be null: the one that began the hold can have been discarded since, and what
-- is left waits for `relay parked retry`. With nothing left the leader ends the hold at its next look.
select h.topic, h.key, case when head.is_there then h.event_id::text end,
       case when head.is_there or h.event_id is null then h.reason
            else 'the first was discarded; what is behind it waits for `relay parked retry`' end,
       extract(epoch from clock_timestamp() - h.since)::float8,
       case when h.key is null
            then (select count(*) from outbox.parked p where p.topic = h.topic)
            else (select count(*) from outbox.parked p
                  where p.topic = h.topic and hashtextextended(p.key, 0) = hashtextextended(h.key, 0)
                    and p.key = h.key) end,
       h.paused_by, h.released_at is not null
from outbox.hold h
cross join lateral (select exists (select from outbox.parked p where p.id = h.event_id) as is_there) head
where (%(topic)s::text is null or h.topic = %(topic)s)
  and (h.paused_by is not null or h.event_id is null or head.is_there or h.released_at is null)
  and (%(key)s::text is null or h.key = %(key)s)
  and (%(id)s::uuid is null or exists (
        select from outbox.parked p where p.id = %(id)s and p.topic = h.topic
        and (h.key is null or h.key = p.key)))
  and h.since <= clock_timestamp() - make_interval(secs => %(older_than_s)s)
union all
select p.topic, null, p.id::text, p.reason, extract(epoch from clock_timestamp() - p.parked_at)::float8, 1, null,
       p.released_at is not null or p.release_window is not null
from outbox.parked p
where p.key is null and %(key)s::text is null
  and (%(topic)s::text is null or p.topic = %(topic)s)
  and (%(id)s::uuid is null or p.id = %(id)s)
  and p.parked_at <= clock_timestamp() - make_interval(secs => %(older_than_s)s)
  and not exists (select from outbox.hold h where h.topic = p.topic and h.key is null)
order by 5 desc, 1, 2;

-- parked_show: one parked event, its payload included.
-- Index: parked_id_idx.    Lock: none.
select id::text, position, topic, key, type, content_type, headers, created_at::text, parked_at::text, reason,
       coalesce(octet_length(payload), 0), payload
from outbox.parked where id = %(id)s order by position;

-- parked_retry_holds: asks the leader to release keys and topics that the broker refused.
-- Index: hold_key_idx.    Lock: those rows'.
-- Guarantee: no hold ends here; the leader ends it with the window that carries its events out.
update outbox.hold h set released_at = clock_timestamp()
where h.paused_by is null and h.released_at is null
  and (%(topic)s::text is null or h.topic = %(topic)s)
  and (%(key)s::text is null or h.key = %(key)s)
  and (%(id)s::uuid is null or exists (
        select from outbox.parked p where p.id = %(id)s and p.topic = h.topic
        and (h.key is null or h.key = p.key)))
  and h.since <= clock_timestamp() - make_interval(secs => %(older_than_s)s)
returning h.topic, h.key, h.event_id::text;

-- parked_retry_keyless: the same for events without a key, which no hold of a key covers.
-- Index: none.    Lock: those rows'.
update outbox.parked p set released_at = clock_timestamp()
where p.key is null and %(key)s::text is null and p.release_window is null and p.released_at is null
  and (%(topic)s::text is null or p.topic = %(topic)s)
  and (%(id)s::uuid is null or p.id = %(id)s)
  and p.parked_at <= clock_timestamp() - make_interval(secs => %(older_than_s)s)
  and not exists (select from outbox.hold h where h.topic = p.topic and h.key is null)
returning p.topic, null, p.id::text;

-- parked_lock_holds: the holds of a key, before its events are touched: the leader locks in this
-- order too.
-- Index: none (a row for each key that waits).    Lock: those rows'.
select id from outbox.hold
where (%(topic)s::text is null or topic = %(topic)s) and (key is null or key = %(key)s)
for update;

-- parked_discard: parked events of one key, or of none, are given up; not those that a window is
-- carrying out.
-- Index: parked_id_idx with an id, else none.    Lock: those rows'.
delete from outbox.parked
where key is not distinct from %(key)s and release_window is null
  and (%(topic)s::text is null or topic = %(topic)s)
  and (%(id)s::uuid is null or id = %(id)s)
  and parked_at <= clock_timestamp() - make_interval(secs => %(older_than_s)s)
returning topic, key, id::text, position;

-- parked_release_empty: a hold of a key with nothing left behind it is to be ended by the leader.
-- Index: parked_key_idx.    Lock: those rows'.
-- Trap: deleted here, it would still be in the leader's memory, and hold the key for ever.
update outbox.hold h set released_at = clock_timestamp()
where h.paused_by is null and h.released_at is null and h.topic = %(topic)s
  and (h.key is null or h.key = %(key)s)
  and not exists (select from outbox.parked p where p.topic = h.topic and (h.key is null or p.key = h.key));

-- parked_pause: begins a hold; in effect once the leader has taken it, at its next look.
-- Index: none.    Lock: the new row's.
insert into outbox.hold (topic, key, reason, paused_by)
values (%(topic)s, %(key)s, 'paused by ' || %(who)s || ': ' || %(why)s, %(who)s)
returning topic, key, null::text;

-- parked_known: whether an event of a topic is parked, or among the newest.
-- Index: event_position_idx, from the end of each leaf; parked_key_idx.    Lock: none.
select exists (select from (select topic from outbox.event order by position desc limit %(limit)s) newest
               where topic = %(topic)s)
       or exists (select from outbox.parked where topic = %(topic)s);

-- parked_resume: asks the leader to release what was paused.
-- Index: hold_key_idx.    Lock: those rows'.
update outbox.hold set released_at = clock_timestamp()
where paused_by is not null and released_at is null
  and topic = %(topic)s and key is not distinct from %(key)s
returning topic, key, null::text;

-- parked_note: who did what to which key, when and why.
-- Index: none.    Lock: the new row's.
insert into outbox.parked_action (action, who, why, topic, key, events, positions)
values (%(action)s, %(who)s, %(why)s, %(topic)s, %(key)s, %(events)s::text[]::uuid[], %(positions)s::bigint[]);
