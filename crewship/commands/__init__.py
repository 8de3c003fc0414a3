"""Commands: one async function an intent. Each loads what it must know, decides by the rules of the domain, and appends."""
