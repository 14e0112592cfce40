"""`python -m hoprior` is the `hoprior` command."""

import sys

from hoprior.cli import main

sys.exit(main())
