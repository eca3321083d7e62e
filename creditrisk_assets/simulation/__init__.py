"""The synthetic portfolio: eight tables shaped like the reference portfolio's, with risk planted in their rows."""
