"""From features to a probability of default: split, fit, evaluation, policy, signed bundle."""
