"""The hash chain: each record of a writer carries a hash over it and the one before.

What belongs here: the hash. What does not: who computes it when (`drain`), checking it (`verification`).
"""

import hashlib


def genesis(writer: str) -> str:
    """Return the hash a writer's chain begins with."""
    return hashlib.sha256(b"creditrisk decision log " + writer.encode()).hexdigest()


def link(before: str, entry: bytes) -> str:
    """Return the hash of a record: over the hash before it and its entry (kind and bytes)."""
    digest = hashlib.sha256(before.encode())
    digest.update(entry)
    return digest.hexdigest()
