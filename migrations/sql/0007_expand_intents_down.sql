-- Once in a database:
drop table public.transaction_settlements;
drop table public.transaction_intents;
