"""`python -m ricorda` is `ricorda`."""

import sys

from ricorda.cli.main import main

sys.exit(main())
