"""`python -m positiond.daemon` is the console script."""

import sys

from .cli import main

sys.exit(main())
