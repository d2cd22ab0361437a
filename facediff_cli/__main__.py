"""``python -m facediff_cli`` is ``facediff``."""

import sys

from facediff_cli.main import main

sys.exit(main())
