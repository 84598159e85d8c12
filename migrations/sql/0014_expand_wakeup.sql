-- The writers' part of waking a relay that sleeps (`RELAY_WAKEUP=listen`). Off until it is asked for
-- (`relay migrate --wakeup listen`): on, it costs a transaction of one INSERT 6 us of 51 us CPU of the server; off, nothing.
--
-- Naive: NOTIFY whenever events are written. Transactions that notify commit one at a time: 65 to 73 % fewer commits at 8 to
-- 16 writers.
--
-- Here the sleeper holds an advisory lock exclusively. A writer tries it shared, and keeps it to its end: nobody sleeps,
-- and nobody can begin to before this transaction is over and what it wrote is seen. Or it fails, at once: one sleeps, and
-- is notified at the commit. Neither ever waits. The other half is in relay/core/pacing.py.
--
-- A trigger, so that every door has it: emit, emit_many, the Python library, COPY. In WHEN, so that no function is called
-- while nobody sleeps; and before the statement, as such a trigger queues nothing.
--
-- Trap: a prepared transaction keeps the shared lock, and no relay sleeps until it is ended, which is right. But PREPARE
-- TRANSACTION is refused after a NOTIFY: two-phase writers need a relay that polls.
create function outbox.wake_relay() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    notify outbox_wake;
    return null;
end;
$$;
revoke execute on function outbox.wake_relay() from public;

-- 1869968482 is "outb" in ASCII; with the table's oid each outbox of a database has a lock of its own.
create trigger event_wakes_relay before insert on outbox.event for each statement
    when (not pg_try_advisory_xact_lock_shared(1869968482, 'outbox.event'::regclass::oid::int))
    execute function outbox.wake_relay();
alter table only outbox.event disable trigger event_wakes_relay;
