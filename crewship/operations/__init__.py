"""What an operator does with an installation itself: look whether it is whole, move it, open it as it was."""
