-- lease_acquire: take the lease if nobody holds it, or this owner does (the reply to its last
-- request was lost, its term was found to be over, or it was handed the lease); the new term.
-- Index: lease_pkey (one row).    Lock: the lease's row, for a moment.
-- Guarantee: one owner at a time by the database's clock; each grant raises the term, which fences
-- all earlier owners.
update outbox.lease
set owner = %(owner)s, term = term + 1, expires_at = clock_timestamp() + make_interval(secs => %(ttl_s)s),
    leads = %(leads)s + 1, claimed_by = null, claimed_leads = null, claimed_at = null,
    blocked_event = null, blocked_reason = null, blocked_since = null
where expires_at < clock_timestamp() or owner = %(owner)s
returning term;

-- lease_claim: ask the leader for this outbox. A claim that is as good stands until it is not
-- repeated; one of an owner that leads fewer takes its place.
-- Index: lease_pkey (one row).    Lock: the lease's row, for a moment.
-- Guarantee: changes nothing about who leads. Not for the owner itself, which was granted the lease
-- a moment ago.
update outbox.lease
set claimed_by = %(owner)s, claimed_leads = %(leads)s, claimed_at = clock_timestamp()
where owner <> %(owner)s
  and (claimed_at is null or claimed_by = %(owner)s or claimed_leads > %(leads)s
       or claimed_at < clock_timestamp() - make_interval(secs => %(good_s)s));

-- lease_leader: how many outboxes the present leader leads in all.
-- Index: lease_pkey (one row).    Lock: none.
select leads from outbox.lease where owner <> %(owner)s and expires_at > clock_timestamp();

-- lease_renew: keep it, and find who claims it; names owner and term, so a late renewal of an old
-- term cannot touch a newer one.
-- Index: lease_pkey (one row).    Lock: the lease's row, for a moment.
-- Guarantee: 0 rows when the term is over; the caller steps down. Renewing after the expiry is
-- sound as long as nobody took it, since the term is then still the highest.
update outbox.lease
set expires_at = clock_timestamp() + make_interval(secs => %(ttl_s)s), leads = %(leads)s
where owner = %(owner)s and term = %(term)s
returning case when claimed_at >= clock_timestamp() - make_interval(secs => %(good_s)s) then claimed_by end,
          claimed_leads;

-- lease_release: give it back at once, so that a standby need not wait for the expiry. By owner
-- alone: a grant whose reply was lost is given back too.
-- Index: lease_pkey (one row).    Lock: the lease's row, for a moment.
update outbox.lease set owner = null, expires_at = '-infinity', leads = 0
where owner = %(owner)s
returning term;

-- lease_hand_over: give it to the heir, for which it is kept for a while: nobody else can take it.
-- Index: lease_pkey (one row).    Lock: the lease's row, for a moment.
-- Guarantee: names owner and term, so what a former leader hands over late changes nothing. The term
-- that begins was granted to nobody, so nobody writes in it: the heir leads after lease_acquire.
update outbox.lease
set owner = %(heir)s, term = term + 1, expires_at = clock_timestamp() + make_interval(secs => %(keep_s)s),
    leads = %(leads)s, claimed_by = null, claimed_leads = null, claimed_at = null
where owner = %(owner)s and term = %(term)s
returning term;
