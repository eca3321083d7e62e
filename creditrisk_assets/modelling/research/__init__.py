"""What is tried apart from the everyday model: selection, search, challengers, rebalancing, learned features, the ladder."""
