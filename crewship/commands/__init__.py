"""Commands: one async function an intent. Each loads what it must know, decides by the domain's rules, and appends."""
