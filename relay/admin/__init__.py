"""What operators do, without click."""
