"""What the facts mean to a reader. Pure: a recorded event in, writes out."""
