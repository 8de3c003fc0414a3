"""Ten times what a server can take: what it refuses, how much memory it costs, and whether it still answers."""
