-- is_legal runs inside emit, with the owner's rights. Under `search_path = pg_catalog` alone PostgreSQL looks for types in
-- pg_temp first: a writer's own domain pg_temp.text, whose CHECK calls a function of his, ran as the owner.
alter function outbox.is_legal(text, text, text, text, bytea, jsonb) set search_path = pg_catalog, pg_temp;
