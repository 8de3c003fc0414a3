"""The trusted parent of a run: starts the child, keeps its limits, writes the journal."""
