alter table outbox.lease
    drop column leads,
    drop column claimed_by,
    drop column claimed_leads,
    drop column claimed_at;
