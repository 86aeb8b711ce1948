"""simonw/llm, whose configuration names the model: every way to ask, printed as JSON."""

import json

import llm

model = llm.get_model("my")
found = {
    "prompt": model.prompt("abc", max_tokens=40, seed=1, stream=False).text(),
    "stream": "".join(model.prompt("abc", max_tokens=40, seed=1)),
    "stop": model.prompt("abc", max_tokens=40, seed=1, stop="e", stream=False).text(),
    "cold": model.prompt("abc", max_tokens=40, temperature=0, stream=False).text(),
}
try:
    model.prompt("abc", max_tokens=10**6, stream=False).text()
except Exception as error:
    found["refused"] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
