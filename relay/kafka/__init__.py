"""The relay's side of Kafka."""
