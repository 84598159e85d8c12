drop function outbox.emit_many(text[], text[], text[], bytea[], jsonb[]);
