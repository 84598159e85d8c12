-- Once in a database:
drop table public.transaction_acks;
drop table public.transaction_claims;
drop table public.transaction_records;
