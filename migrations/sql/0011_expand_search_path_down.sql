alter function outbox.is_legal(text, text, text, text, bytea, jsonb) set search_path = pg_catalog;
