"""Two JSON values compared by keys and types, whatever the values are."""

from typing import Any


def differences(sample: Any, reply: Any, path: str = "") -> set[str]:
    """`-path` is missing in the reply, `+path` is not in the sample, `~path` is of another type.

    Of a list only the first element counts, and an empty one matches any.
    """
    if isinstance(sample, dict) and isinstance(reply, dict):
        found = {f"-{_join(path, name)}" for name in sample.keys() - reply.keys()}
        found |= {f"+{_join(path, name)}" for name in reply.keys() - sample.keys()}
        for name in sample.keys() & reply.keys():
            found |= differences(sample[name], reply[name], _join(path, name))
        return found
    if isinstance(sample, list) and isinstance(reply, list):
        return differences(sample[0], reply[0], f"{path}[]") if sample and reply else set()
    return set() if type(sample) is type(reply) else {f"~{path}"}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
