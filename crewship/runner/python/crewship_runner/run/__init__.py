"""The child: loads the project's entrypoint, runs it with its framework, reports what happens over a pipe."""
