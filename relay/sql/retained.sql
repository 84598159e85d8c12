-- retained_now: the database's clock, by which windows are stored.
-- Index: none.    Lock: none.
select extract(epoch from clock_timestamp())::float8;

-- retained_milestones: what was published by when, before the log of windows begins, the oldest
-- first.
-- Index: none (some sixty rows).    Lock: none.
-- Why the epoch by its time: the log does not say it, and a relay notes the epoch before it stores
-- a window in it.
select m.number, m.snapshot::text, extract(epoch from m.published_at)::float8,
       coalesce((select e.id from outbox.epoch e where e.first_seen <= m.published_at
                 order by e.first_seen desc limit 1)::text, '')
from outbox.milestone m
where m.number < %(before)s
order by m.number;

-- retained_log: the windows from `number` on, in order, with the snapshot of each; those of the
-- present numbering alone, as snapshots of two cannot be compared.
-- Index: window_N_fence of each of the four leaves.    Lock: none.
-- Trap: numbers can be left out, where a leaf was emptied meanwhile. What two neighbours hold between
-- them is right all the same.
select w.number, w.snapshot::text, extract(epoch from w.stored_at)::float8,
       coalesce((select e.id from outbox.epoch e where e.first_seen <= w.stored_at
                 order by e.first_seen desc limit 1)::text, '')
from outbox.window w
where w.number >= %(number)s and w.step = 0 and w.numbering = %(numbering)s
order by w.number
limit %(limit)s;

-- retained_count: how many events of a window are chosen, and the topics that they are of.
-- Index: event_txid_idx, one range scan for each range of ids and leaf.    Lock: none.
-- Guarantee: as window_plan, the ranges are exactly "visible in S and not in C".
select e.topic, count(*)
from unnest(%(low)s::text::xid8[], %(high)s::text::xid8[]) as r (low, high)
join outbox.event e on e.txid >= r.low and e.txid < r.high
where e.position > %(above)s
  and (%(topic)s::text is null or e.topic = %(topic)s)
  and (%(key)s::text is null or e.key = %(key)s)
  and (%(type)s::text is null or e.type = %(type)s)
  and (%(id)s::uuid is null or e.id = %(id)s)
group by e.topic
order by e.topic;

-- retained_page: the chosen events of a window within a stretch of positions of one leaf, as
-- window_page gives them, and the transaction of each.
-- Index: event_position_idx of that leaf alone.    Lock: none.
-- Trap: what a TRUNCATE has taken meanwhile is missing without a word; whoever counts before sees it.
select e.position, e.id::text, e.topic, e.key, e.type, e.content_type, e.payload,
       to_char(e.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       case when e.headers <> '{}' then e.headers::text end,
       e.txid::text
from outbox.event e
where e.position between %(first)s and %(last)s
  and e.position > %(above)s and ((e.position >> 20) & 7) = %(leaf)s
  and pg_visible_in_snapshot(e.txid, %(until)s::text::pg_snapshot)
  and not pg_visible_in_snapshot(e.txid, %(since)s::text::pg_snapshot)
  and (%(topic)s::text is null or e.topic = %(topic)s)
  and (%(key)s::text is null or e.key = %(key)s)
  and (%(type)s::text is null or e.type = %(type)s)
  and (%(id)s::uuid is null or e.id = %(id)s)
order by e.position
limit %(limit)s;

-- retained_withheld: events that the cursor passed and that are not published: those that are parked,
-- and those that were discarded.
-- Index: none (what is set aside, and what was given up).    Lock: none.
-- Guarantee: asked after C was read. What was parked by then and is not here has been published.
-- By position: one that was mended and written again under the id of a discarded one is published.
select position from outbox.parked
union all
select unnest(positions) from outbox.parked_action where action = 'discard';

-- retained_block: whether any event of a block of the ring (2^20 positions) is still there.
-- Index: event_position_idx of that leaf alone, one probe.    Lock: none.
select exists (
    select from outbox.event e
    where e.position between %(first)s and %(last)s and ((e.position >> 20) & 7) = %(leaf)s);
