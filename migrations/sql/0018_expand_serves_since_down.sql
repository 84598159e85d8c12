drop function outbox.serves_since();
