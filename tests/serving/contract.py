"""Random requests by the served OpenAPI document, and whether every answer fits it.

`python -m tests.serving.contract MODEL --cases 10000`; a slice of it is in test_contract.py.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.serving.load import Process

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,unsupported_method,"
    "negative_data_rejection"
)


def command(url: str, cases: int, seed: int) -> list[str]:
    """The command line that sends `cases` random requests, good and bad, to each operation."""
    return [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--checks", CHECKS, "--mode", "all", "--max-examples", str(cases)),
        *("--phases", "examples,coverage,fuzzing", "--seed", str(seed), "--no-color"),
        *("--continue-on-failure", "--no-shrink", "--suppress-health-check", "all"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a model file or a run's folder")
    parser.add_argument("--cases", type=int, default=1000, help="for each operation")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with Process(f"m={options.model}") as server:
        url = f"http://127.0.0.1:{server.port}"
        done = subprocess.run(command(url, options.cases, options.seed), check=False)
        print(json.dumps(server.held()))
    return done.returncode


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parents[2])
    sys.exit(main())
