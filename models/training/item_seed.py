"""Seeds of items, as a run gives them."""

from __future__ import annotations

import hashlib


def item_seed(run_seed: int, item_id: str, draw: int = 0) -> int:
    """The first four bytes, big-endian, of SHA-256 of `seed\\nid\\ndraw`: the seed that a run gives to an item."""
    return int.from_bytes(hashlib.sha256(f"{run_seed}\n{item_id}\n{draw}".encode()).digest()[:4], "big")
