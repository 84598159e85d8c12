-- Once in a database:
drop table public.run_claims;
drop table public.run_completions;
drop table public.domain_acks;
drop table public.policy_evaluations;
drop table public.incidents;
drop table public.traces;
