-- Once in a database:
-- The memory `marks` of consumers: how far each is in the events of an outbox, for each partition of a topic.

-- mark: one row for each partition; every batch locks it, and updates it in place.
-- epochs: {"<ce_outboxepoch>": {"place": highest ce_sequence, "newest_time": ce_time, "at": `taken` at that time}}.
create table inbox.mark (
    consumer  text    not null,
    topic     text    not null,
    partition integer not null,
    source    text    not null,
    taken     bigint  not null default 0,
    epochs    jsonb   not null default '{}',
    primary key (consumer, topic, partition, source)
) with (fillfactor = 50);

-- recent: the ids of the last events, a row for each batch; `upto` is `taken` after it. Ids are chance: compressing
-- them costs time and gains nothing.
create table inbox.recent (
    consumer  text    not null,
    topic     text    not null,
    partition integer not null,
    source    text    not null,
    upto      bigint  not null,
    epoch     text    not null,
    since     text    not null,
    event_ids uuid[]  not null,
    primary key (consumer, topic, partition, source, upto, epoch),
    foreign key (consumer, topic, partition, source) references inbox.mark on delete cascade
);
alter table inbox.recent alter column event_ids set storage external;
