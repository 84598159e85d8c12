-- wakeup_fit: whether writers wake a relay here at all, and which server process answers.
-- Index: pg_trigger's.    Lock: none.
-- Trap: a pooler hands out process ids of its own making; the answer then differs from what the
-- session was told when it began, and LISTEN and the sleep lock would stay with a session that is
-- somebody else's a moment later.
select pg_backend_pid(),
       coalesce((select tgenabled in ('O', 'A') from pg_trigger
                 where tgrelid = 'outbox.event'::regclass and tgname = 'event_wakes_relay'), false);

-- wakeup_listen: hear of writers who found a sleeper.
-- Index: none.    Lock: none.
listen outbox_wake;

-- wakeup_lie_down: take the sleep lock, for the session, without waiting for it.
-- Index: none.    Lock: an advisory one, exclusively; a writer tries it and never waits for it.
-- Guarantee: true: every writer who had it shared has ended, and a snapshot taken from now on sees
-- what it wrote; who comes later notifies. False: one who wrote is not over, or another relay sleeps.
select pg_try_advisory_lock(1869968482, 'outbox.event'::regclass::oid::int);

-- wakeup_rise: give the sleep lock back.
-- Index: none.    Lock: none.
select pg_advisory_unlock(1869968482, 'outbox.event'::regclass::oid::int);

-- wakeup_lock_timeout: how long this transaction waits for a lock.
-- Index: none.    Lock: none.
select set_config('lock_timeout', %(ms)s, true);

-- wakeup_on: have writers notify a relay that sleeps. For the table's owner.
-- Index: the catalogs'.    Lock: outbox.event, share row exclusive: it waits for the writers who are
-- under way, and those who come wait for it, for as long as lock_timeout lets it.
-- Guarantee: once it is committed there is no writer left who does not try the sleep lock.
alter table only outbox.event enable trigger event_wakes_relay;

-- wakeup_off: spare writers the lock. For the table's owner.
-- Index: the catalogs'.    Lock: as wakeup_on.
alter table only outbox.event disable trigger event_wakes_relay;
