-- Once in a database:
-- inbox.take: which of these events are new to this consumer? They are noted in the same statement, and forgotten after
-- `keep_for` by TRUNCATE of a partition instead of a DELETE of rows.
--
-- Naive: partitions by time, and `insert ... on conflict do nothing`. A unique key cannot span partitions, so the key of
-- Monday's event is free again in Tuesday's partition. So here a key is looked up in all slots and written into the
-- current one. That alone has a race where the current slot changes: T1 has written the key into the old slot and not
-- committed, T2 does not see it, writes it into the new slot and meets no conflict; both take the event. Two things
-- close it:
--   * a taker holds a shared advisory lock to the end of its transaction, and the change of slots takes it exclusively:
--     when it is made, no taker is open, and whoever comes later reads with a snapshot (each statement of a READ
--     COMMITTED transaction has its own) that sees all that was taken before;
--     (TRUNCATE waits for takers too, as they have read its slot. That is not enough: a taker that has just looked up
--     which slot is the current one, and then waits behind the TRUNCATE, writes the old slot after the change);
--   * the snapshot of a REPEATABLE READ or SERIALIZABLE transaction may be older than the change, and names the old slot
--     as well. It locks the row of the generation, which PostgreSQL refuses with a serialization failure (40001) if that
--     row has changed since.
--
-- Three slots, and a generation lasts half of `keep_for`: a key is kept for at least `keep_for` (the two generations
-- after its own), and at most for 1.5 times as long, and the delay of the next `inbox.expire()`.

-- The rows of before are the first slot. A client of the last release, which inserts into inbox.seen itself, writes that
-- slot too, and so agrees with inbox.take until the first generation is over.
alter table inbox.seen rename to seen_0;
alter table inbox.seen_0 rename constraint seen_pkey to seen_0_pkey;
alter table inbox.seen_0
    add column slot smallint not null default 0,
    add constraint seen_0_slot check (slot = 0);

create table inbox.seen (
    consumer text        not null,
    event_id uuid        not null,
    seen_at  timestamptz not null default clock_timestamp(),
    slot     smallint    not null default 0
) partition by list (slot);
alter table inbox.seen attach partition inbox.seen_0 for values in (0);
-- The keys are the leaves' own: one of the parent would have to hold the slot, and so decide nothing.
create table inbox.seen_1 partition of inbox.seen (primary key (consumer, event_id)) for values in (1);
create table inbox.seen_2 partition of inbox.seen (primary key (consumer, event_id)) for values in (2);

create table inbox.generation (
    one      boolean     primary key default true check (one),
    number   bigint      not null default 0,
    began_at timestamptz not null default clock_timestamp(),
    keep_for interval    not null default '7 days' check (keep_for >= interval '1 minute')
);
insert into inbox.generation default values;
comment on table inbox.generation is 'One row: keys of inbox.seen are written into slot number % 3, and kept for keep_for.';

-- Sorted: two consumers with the same events in another order would wait for each other. The lock's number is "inbox" in
-- hexadecimal ASCII.
create function inbox.take(consumer text, ids uuid[]) returns setof uuid language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
    present smallint;
begin
    perform pg_advisory_xact_lock_shared(x'696e626f78'::bigint);
    if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        perform from inbox.generation for share;
    end if;
    select generation.number % 3 into strict present from inbox.generation;
    return query
        insert into inbox.seen as taken (consumer, event_id, slot)
        select take.consumer, given.id, present
        from (select distinct unnest(ids) as id order by 1) as given
        where not exists (
            select from inbox.seen as before
            where before.slot in ((present + 1) % 3, (present + 2) % 3)
              and before.consumer = take.consumer and before.event_id = given.id
        )
        order by given.id
        on conflict do nothing
        returning taken.event_id;
end;
$$;
comment on function inbox.take(text, uuid[]) is
    'Notes the events for the consumer in the caller''s transaction; returns those that it has not taken before.';
revoke execute on function inbox.take(text, uuid[]) from public;

-- inbox.expire: begin the next generation if the present one has lasted half of `keep_for`; true if it did.
-- Takers wait for it, and it waits for takers, but never longer than lock_timeout: then it leaves quietly, and the next
-- call tries again. Commit at once.
create function inbox.expire() returns boolean language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '1s' as $$
declare
    next bigint;
begin
    if not exists (select from inbox.generation where began_at + keep_for / 2 <= clock_timestamp()) then
        return false;
    end if;
    perform pg_advisory_xact_lock(x'696e626f78'::bigint);
    -- Again under the lock: another one may have done it meanwhile.
    update inbox.generation set number = number + 1, began_at = clock_timestamp()
    where began_at + keep_for / 2 <= clock_timestamp()
    returning number into next;
    if next is null then
        return false;
    end if;
    execute format('truncate only inbox.seen_%s', next % 3);
    return true;
exception
    when lock_not_available then
        return false;
end;
$$;
comment on function inbox.expire() is
    'Forgets the oldest keys of inbox.seen when it is time; call it about hourly. True if it did.';
revoke execute on function inbox.expire() from public;
