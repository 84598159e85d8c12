drop table outbox.milestone;
