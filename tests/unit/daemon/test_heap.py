"""What stays is left out of the collector's passes; what is garbage by then goes first."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: frozen objects stay frozen for all who come after.
_SCRIPT = """
import gc, weakref
from positiond.daemon import heap

class Node:
    pass

# What stays is most of it, as in the daemon.
ballast = [[] for _ in range(400_000)]
kept, lost = Node(), Node()
kept.self, lost.self = kept, lost
seen = weakref.ref(kept), weakref.ref(lost)
del lost
before = len(gc.get_objects())
heap.freeze()
assert [one() is not None for one in seen] == [True, False], "garbage was kept"
assert gc.get_freeze_count() > 0.9 * before, gc.get_freeze_count()
assert len(gc.get_objects()) < 0.1 * before, "a full pass still looks at all of it"
passes = gc.get_stats()[2]["collections"]
grown = [[] for _ in range(100_000)]
assert gc.get_stats()[2]["collections"] > passes, "full passes wait for a quarter of all there is"
fresh = Node()
fresh.self, gone = fresh, weakref.ref(fresh)
del fresh
gc.collect()
assert gone() is None, "what came later is not collected"
"""


def test_freezing_drops_the_garbage_and_leaves_the_rest_out_of_later_passes() -> None:
    ran = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
