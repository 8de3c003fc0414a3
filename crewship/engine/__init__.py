"""What makes a run happen: it follows the log, starts sandboxes, and records what they say."""
