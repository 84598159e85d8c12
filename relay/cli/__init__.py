"""The command `relay`: parses and prints, and leaves the rest to others."""
