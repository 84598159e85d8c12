-- parking_put: whole copies of events that the present entry of the log passes unpublished.
-- Index: event_position_idx, of one leaf for each event.    Lock: the new rows'.
-- Guarantee: in the transaction of that entry, which is refused to a former leader; so an event
-- behind the cursor is acknowledged or here, and never in two minds.
-- Trap: without the second condition each event is looked for in every leaf.
insert into outbox.parked
    (position, id, topic, key, type, content_type, payload, headers, created_at, reason)
select e.position, e.id, e.topic, e.key, e.type, e.content_type, e.payload, e.headers, e.created_at, r.reason
from unnest(%(positions)s::bigint[], %(reasons)s::text[]) as r (position, reason)
join outbox.event e on e.position = r.position and ((e.position >> 20) & 7) = ((r.position >> 20) & 7)
returning position;

-- parking_put_back: events of the window that releases, which wait on: refused again, or behind one
-- that was.
-- Index: parked_pkey, one probe each.    Lock: those rows'.
-- Guarantee: in the transaction of the entry that passes them.
update outbox.parked p set release_window = null, reason = r.reason
from unnest(%(positions)s::bigint[], %(reasons)s::text[]) as r (position, reason)
where p.position = r.position
returning p.position;

-- parking_hold: keys and topics that wait from the present entry of the log on.
-- Index: none.    Lock: the new rows'.
-- Guarantee: in the transaction that parks the first of them, so a new leader finds both.
insert into outbox.hold (topic, key, event_id, reason, until_topic, taken)
select r.topic, r.key, r.event_id, r.reason, r.until_topic, true
from unnest(%(topics)s::text[], %(keys)s::text[], %(ids)s::uuid[], %(reasons)s::text[], %(until_topic)s::bool[])
    as r (topic, key, event_id, reason, until_topic);

-- parking_done: released events up to a position are out.
-- Index: parked_releasing_idx.    Lock: those rows'.
-- Guarantee: in the transaction of the entry that passes them; what is put back was put back before
-- it.
delete from outbox.parked where release_window is not null and position <= %(position)s;

-- parking_holds: all that waits in a window: all, but for what the window itself carries out.
-- Index: none (a row for each key that waits).    Lock: none.
-- Guarantee: read in the transaction that reads the cursor, or that stores a window for a change.
-- Trap: by `released_at` a leader that takes the window up again would not see a hold that was begun
-- in it, and released at once: the key's rest would overtake its head.
select distinct topic, key from outbox.hold where release_window is distinct from %(number)s;

-- parking_wanted: whether operators want something of what is parked; asked at each look.
-- Index: hold_news_idx, parked_released_idx, which are empty but for moments; hold_key_idx.    Lock:
-- none.
-- Trap: a wish that a paused topic keeps waiting is none yet; counted, it would open an empty window
-- at each look, for as long as the pause lasts.
-- Trap: without `offset 0` all that is parked may be joined to the holds first.
select exists (select from outbox.hold where not taken or released_at is not null)
    or exists (select from (select topic from outbox.parked where released_at is not null offset 0) p
               where not exists (select from outbox.hold h
                                 where h.topic = p.topic and hashtextextended(h.key, 0) is null and h.key is null));

-- parking_news: what operators have begun and ended since the leader last knew.
-- Index: hold_news_idx.    Lock: those rows', so that an operator's second thought waits.
-- Trap: what follows must go by these ids. A hold released between two statements would be ended
-- with its events left behind, and the next event of its key would overtake them.
select id, released_at is not null from outbox.hold
where not taken or released_at is not null
for update;

-- parking_release: fixes which parked events a window carries out: the first of all that the holds
-- to be ended cover and no other hold does, and of events without a key that were asked for.
-- Index: hold_pkey, parked_key_idx for each hold, parked_released_idx; hold_key_idx for each
-- event.    Lock: the rows that are released.
-- Guarantee: in the transaction that stores the window.
-- Trap: how many these are says nothing of what is left: one that is discarded at this moment is
-- waited for, and then passed over.
update outbox.parked set release_window = %(number)s, released_at = null
where position = any (array(
    select one.position from (
        select p.position, p.topic, p.key from outbox.hold h
        join outbox.parked p on p.topic = h.topic
            and hashtextextended(p.key, 0) = hashtextextended(h.key, 0) and p.key = h.key
        where h.id = any (%(released)s::bigint[]) and h.key is not null
        union
        select p.position, p.topic, p.key from outbox.hold h
        join outbox.parked p on p.topic = h.topic
        where h.id = any (%(released)s::bigint[]) and h.key is null
        union
        select p.position, p.topic, p.key from outbox.parked p where p.released_at is not null) one
    where not exists (
        select from outbox.hold h
        where h.topic = one.topic and hashtextextended(h.key, 0) = hashtextextended(one.key, 0)
          and h.key = one.key and h.id <> all (%(released)s::bigint[]))
      and not exists (
        select from outbox.hold h
        where h.topic = one.topic and hashtextextended(h.key, 0) is null
          and h.key is null and h.id <> all (%(released)s::bigint[]))
    order by one.position
    limit %(limit)s));

-- parking_end: the holds of which all that waits is on its way.
-- Index: hold_pkey, parked_key_idx for each.    Lock: those rows'.
-- Guarantee: in the transaction that stores the window, in a statement of its own, which sees what
-- was discarded meanwhile. As only the leader parks, what is left under a hold was there before.
-- What another hold keeps back as well is that one's to wait for.
delete from outbox.hold h
where h.id = any (%(released)s::bigint[])
  and not exists (
    select from outbox.parked p
    where p.topic = h.topic and p.release_window is null
      and (h.key is null or hashtextextended(p.key, 0) = hashtextextended(h.key, 0) and p.key = h.key)
      and not exists (
        select from outbox.hold o
        where o.topic = p.topic and o.id <> all (%(released)s::bigint[])
          and (hashtextextended(o.key, 0) is null and o.key is null
               or hashtextextended(o.key, 0) = hashtextextended(p.key, 0) and o.key = p.key)));

-- parking_go_on: the holds of which a window carries only a part: those that were not ended.
-- Index: hold_pkey.    Lock: those rows'.
-- Guarantee: in the transaction that stores the window.
update outbox.hold set release_window = %(number)s where id = any (%(released)s::bigint[]);

-- parking_take: the holds that operators have begun are known to the leader.
-- Index: hold_pkey.    Lock: those rows'.
update outbox.hold set taken = true where id = any (%(begun)s::bigint[]);

-- parking_awaited: topics that are held until they exist.
-- Index: hold_awaited_idx (a row for each topic that is missing).    Lock: none.
select distinct topic from outbox.hold where until_topic and released_at is null;

-- parking_there: asks the leader to release topics that have come to exist.
-- Index: hold_awaited_idx.    Lock: those rows'.
update outbox.hold set released_at = clock_timestamp()
where until_topic and released_at is null and topic = any (%(topics)s::text[]);

-- parking_plan: where the events of the window that releases lie, as window_plan says it.
-- Index: parked_releasing_idx.    Lock: none.
select min(position), max(position), count(*),
       max(coalesce(octet_length(payload), 0) + coalesce(octet_length(key), 0) + 16384) + 1024
from outbox.parked where release_window is not null and position > %(after)s
group by position >> %(chunk_bits)s
order by 1;

-- parking_page: released events within a stretch of positions, as window_page gives fresh ones.
-- Index: parked_releasing_idx.    Lock: none.
-- Guarantee: the same rows at every attempt, but for those that an entry has passed.
-- The header: a former leader that was paused may still publish one at the place it had before, so
-- that its place alone does not tell whether it was taken.
select position, id::text, topic, key, type, content_type, payload,
       to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       (headers || '{"ce_outboxreleased": "true"}')::text
from outbox.parked
where release_window is not null and position between %(first)s and %(last)s
order by position
limit %(limit)s;
