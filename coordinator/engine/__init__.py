"""The cross-domain transaction: several domains and their events in one commit."""
