"""Standing challengers of the default model: one module each, one protocol."""
