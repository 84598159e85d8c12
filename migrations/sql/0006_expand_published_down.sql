drop function outbox.is_published(bigint, uuid[]);
-- Once in a database:
alter table public.transaction_records drop column txid;
alter table public.run_completions drop column txid;
