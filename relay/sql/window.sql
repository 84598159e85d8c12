-- window_snapshot: S, what is visible at this moment, as text.
-- Index: none.    Lock: none.
-- Guarantee: taken before this transaction has an id of its own, so S never lists the relay itself.
select pg_current_snapshot()::text;

-- window_look: S, and what must be the same for the same S to mean the same events.
-- Index: none.    Lock: none.
-- Guarantee: as window_snapshot.
-- Trap: behind a pooler the next answer may be another server's, a replica's that is behind, or the
-- same one's after a crash that lost commits and gives their ids out again. No backend outlives that.
select pg_current_snapshot()::text, pg_backend_pid(), pg_is_in_recovery();

-- window_plan: where the events of a window lie: for each block of 2^chunk_bits positions the
-- first, the last, how many, and the size of the largest.
-- Index: event_txid_idx, one range scan for each range of ids and leaf.    Lock: none.
-- Guarantee: the ranges are exactly "visible in S and not in C"; the rows of transactions in
-- progress at S are not read.
-- Trap: never cut or order by txid: it is handed out before the row lock of a key is won.
-- Trap: without `offset 0` whole rows with their payloads are sorted (262 MB on disk for 500,000).
-- Headers that are stored compressed count as their limit.
-- Trap: a bare `position > after` lets a plan read all that lies behind it by event_position_idx.
-- Trap: in a restored database, without `after` and `upto`, events of another cluster whose ids lie
-- in the ranges by chance are taken for this window's.
select * from (
    select min(e.position) as first, max(e.position), count(*), max(e.bytes) + 1024
    from (select e.position,
                 coalesce(octet_length(e.payload), 0) + coalesce(octet_length(e.key), 0)
                 + case when pg_column_compression(e.headers) is null
                        then pg_column_size(e.headers) else 16384 end as bytes
          from unnest(%(low)s::text::xid8[], %(high)s::text::xid8[]) as r (low, high)
          join outbox.event e on e.txid >= r.low and e.txid < r.high
          where e.position + 0 > %(after)s and e.position + 0 <= %(upto)s
          offset 0) e
    group by e.position >> %(chunk_bits)s
    offset 0) chunk
order by chunk.first;

-- window_page: the events of a window within a stretch of positions of one leaf, in order, ready to
-- be sent.
-- Index: event_position_idx of that leaf alone.    Lock: none.
-- Guarantee: the same rows at every attempt, as C and S are those that were stored. An empty page
-- is not the end.
-- Trap: `order by position limit n` over a whole window would sort it: 5 to 26 s a page in a window
-- of 5 million.
select e.position, e.id::text, e.topic, e.key, e.type, e.content_type, e.payload,
       to_char(e.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       case when e.headers <> '{}' then e.headers::text end
from outbox.event e
where e.position between %(first)s and %(last)s
  and ((e.position >> 20) & 7) = %(leaf)s
  and pg_visible_in_snapshot(e.txid, %(until)s::text::pg_snapshot)
  and not pg_visible_in_snapshot(e.txid, %(since)s::text::pg_snapshot)
order by e.position
limit %(limit)s;
