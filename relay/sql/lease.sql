-- lease_acquire: take the lease if nobody holds it, or this owner does (the reply to its last
-- request was lost, or its term was found to be over); the new term.
-- Index: lease_pkey (one row).    Lock: the lease's row, for a moment.
-- Guarantee: one owner at a time by the database's clock; each grant raises the term, which fences
-- all earlier owners.
update outbox.lease
set owner = %(owner)s, term = term + 1, expires_at = clock_timestamp() + make_interval(secs => %(ttl_s)s),
    blocked_event = null, blocked_reason = null, blocked_since = null
where expires_at < clock_timestamp() or owner = %(owner)s
returning term;

-- lease_renew: keep it; names owner and term, so a late renewal of an old term cannot touch a newer
-- one.
-- Index: lease_pkey (one row).    Lock: the lease's row, for a moment.
-- Guarantee: 0 rows when the term is over; the caller steps down. Renewing after the expiry is
-- sound as long as nobody took it, since the term is then still the highest.
update outbox.lease
set expires_at = clock_timestamp() + make_interval(secs => %(ttl_s)s)
where owner = %(owner)s and term = %(term)s
returning term;

-- lease_release: give it back at once, so that a standby need not wait for the expiry. By owner
-- alone: a grant whose reply was lost is given back too.
-- Index: lease_pkey (one row).    Lock: the lease's row, for a moment.
update outbox.lease set owner = null, expires_at = '-infinity'
where owner = %(owner)s
returning term;
