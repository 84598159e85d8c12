"""What /metrics is going to serve, until there is a relay to scrape."""

from __future__ import annotations

HISTOGRAMS = {"outbox_publish_duration_seconds", "outbox_commit_to_ack_seconds"}

SERVED = {
    "outbox_published_events_total",
    "outbox_published_bytes_total",
    "outbox_parked_events_total",
    "outbox_publish_failures_total",
    "outbox_lease_lost_total",
    "outbox_fenced_total",
    "outbox_takeovers_total",
    "outbox_pending_events",
    "outbox_pending_is_at_least",
    "outbox_oldest_pending_timestamp_seconds",
    "outbox_parked_events",
    "outbox_held_keys",
    "outbox_leading",
    "outbox_term",
    "outbox_in_flight_events",
    "outbox_in_flight_bytes",
    "outbox_client_queue_events",
    "outbox_last_success_timestamp_seconds",
    "outbox_heartbeat_timestamp_seconds",
    "outbox_oldest_transaction_start_timestamp_seconds",
    "outbox_xmin_horizon_age_transactions",
    "outbox_ring_bytes",
    "outbox_ring_leaves_in_use",
    "outbox_retention_oldest_kept_timestamp_seconds",
    "outbox_database_up",
    "outbox_broker_up",
    "outbox_build_info",
} | {f"{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")}
