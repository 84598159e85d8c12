drop view outbox.debezium;
