"""Who may call, for what and how often: scopes, keys kept hashed, their administration, limits."""

from creditrisk_serving.access.administration import KeyChangeError, create_key, revoke_key, rotate_key
from creditrisk_serving.access.keys import Key, KeyFile, KeyFileError, Keyring, hash_key, read_keys
from creditrisk_serving.access.limits import Budget, Rate, Throttle
from creditrisk_serving.access.scopes import AUDITED, MEANINGS, Caller, Scope

__all__ = [
    "AUDITED",
    "MEANINGS",
    "Budget",
    "Caller",
    "Key",
    "KeyChangeError",
    "KeyFile",
    "KeyFileError",
    "Keyring",
    "Rate",
    "Scope",
    "Throttle",
    "create_key",
    "hash_key",
    "read_keys",
    "revoke_key",
    "rotate_key",
]
