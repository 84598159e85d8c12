-- milestone: now and then, what was published by then. Events are kept for a time by comparing them with the newest
-- milestone that is older than that. The log of windows cannot serve, as under load it turns round within the hour.
--
-- Some sixty rows; the oldest are deleted as new ones come.
create table outbox.milestone (
    number       bigint      primary key,
    snapshot     pg_snapshot not null,
    published_at timestamptz not null default clock_timestamp()
);
comment on table outbox.milestone is 'All that the snapshot of window `number` sees was published at `published_at`.';
