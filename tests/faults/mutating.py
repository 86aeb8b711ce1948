"""A plugin of pytest that switches one safeguard off: `-p tests.faults.mutating`."""

import os

from tests.faults.mutations import MUTATIONS

MUTATIONS[os.environ["FAULTS_MUTATION"]].apply()
