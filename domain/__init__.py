"""Facts and rules. Pure: no clock, no chance, no input or output."""
