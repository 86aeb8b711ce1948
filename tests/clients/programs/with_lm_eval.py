"""lm-eval's `local-completions`, each kind of request; reads a case as JSON and prints answers."""

import json
import sys
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI

case = json.load(sys.stdin)
model = LocalCompletionsAPI(
    base_url=f"{sys.argv[1]}/v1/completions", max_length=65536, max_retries=1, **case["options"]
)


def ask(kind: str) -> list[Any]:
    requests = [
        Instance(request_type=kind, doc={}, arguments=tuple(arguments), idx=number)
        for number, arguments in enumerate(case[kind])
    ]
    answers: list[Any] = getattr(model, kind)(requests)
    return answers


kinds = ("loglikelihood", "loglikelihood_rolling", "generate_until")
print(json.dumps({kind: ask(kind) for kind in kinds}))
