"""The governance file: documents whose every number is bound to the artefact it came from, and the meter of what is missing."""
