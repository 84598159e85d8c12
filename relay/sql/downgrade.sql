-- downgrade_parked: how many records of consumers wait in the table that a downgrade drops.
-- Index: none (a few rows, once).    Lock: none.
select count(*) from inbox.parked where discarded_at is null;

-- downgrade_not_undone: how many effects outside the database are still to be undone, or at work.
-- Index: transaction_settlements_pkey.    Lock: none.
select count(*) from public.transaction_intents i
where not exists (select from public.transaction_settlements s where s.attempt_id = i.attempt_id);
