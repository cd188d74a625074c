"""Credentials drawn from the seed, so that the same run can be played again."""

import random
import string

LETTERS = string.ascii_letters + string.digits


def api_key(seed: int, serial: int) -> str:
    """18 characters, as long as the venue's."""
    return _drawn(f"{seed}/key/{serial}", 18)


def api_secret(seed: int, serial: int) -> str:
    """36 characters. Opens nothing but this exchange."""
    return _drawn(f"{seed}/secret/{serial}", 36)


def _drawn(name: str, length: int) -> str:
    return "".join(random.Random(name).choices(LETTERS, k=length))
