"""The command line. It speaks HTTP alone; only `serve` and `views` reach the server's own code."""
