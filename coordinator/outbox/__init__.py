"""Events into the outbox, in the caller's own transaction."""
