"""The shipped use of the engine: the completion of a run."""
