"""LangChain's completion class and embeddings: every way to ask, printed as JSON."""

import asyncio
import json
import sys
from typing import Any

import openai
from langchain_openai import OpenAI, OpenAIEmbeddings

url = f"{sys.argv[1]}/v1"
llm = OpenAI(
    model="my", base_url=url, api_key="none", max_tokens=40, seed=1, temperature=1, max_retries=0
)
embeddings = OpenAIEmbeddings(
    model="my", base_url=url, api_key="none", check_embedding_ctx_length=False, max_retries=0
)


async def ask() -> dict[str, Any]:
    """Ask in one event loop, to which the client's connections belong."""
    return {
        "ainvoke": await llm.ainvoke("abc"),
        "astream": "".join([piece async for piece in llm.astream("abc")]),
        "async_query": await embeddings.aembed_query("abc"),
    }


found: dict[str, Any] = {
    "invoke": llm.invoke("abc"),
    "batch": llm.batch(["abc", "de"]),
    "stream": "".join(llm.stream("abc")),
    "stop": llm.invoke("abc", stop=["e", "x"]),
    "several": [each.text for each in llm.generate(["abc"], n=3).generations[0]],
    "tokens": llm.generate(["abc"]).llm_output["token_usage"],
    "documents": embeddings.embed_documents(["abc", "de"]),
    "query": embeddings.embed_query("abc"),
    **asyncio.run(ask()),
}
try:
    llm.invoke("abc", temperature=3)
except openai.BadRequestError as error:
    found["refused"] = error.param
print(json.dumps(found))
