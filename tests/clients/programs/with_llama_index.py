"""LlamaIndex's classes for servers like OpenAI's: every way to ask, printed as JSON."""

import asyncio
import json
import sys
from typing import Any

import openai
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike

url = f"{sys.argv[1]}/v1"
options = {"model": "my", "api_base": url, "api_key": "none", "max_tokens": 40, "max_retries": 0}
llm = OpenAILike(**options, temperature=1, additional_kwargs={"seed": 1})
embedding = OpenAILikeEmbedding(model_name="my", api_base=url, api_key="none", max_retries=0)


async def ask() -> dict[str, Any]:
    """Ask in one event loop, to which the client's connections belong."""
    return {
        "acomplete": (await llm.acomplete("abc")).text,
        "astream": "".join([piece.delta async for piece in await llm.astream_complete("abc")]),
        "async_query": await embedding.aget_query_embedding("abc"),
    }


found: dict[str, Any] = {
    "complete": llm.complete("abc").text,
    "stream": "".join(piece.delta for piece in llm.stream_complete("abc")),
    "stop": llm.complete("abc", stop=["e", "x"]).text,
    "texts": embedding.get_text_embedding_batch(["abc", "de"]),
    "query": embedding.get_query_embedding("abc"),
    **asyncio.run(ask()),
}
try:
    llm.complete("abc", top_p=7)
except openai.BadRequestError as error:
    found["refused"] = error.param
try:
    OpenAILike(**options, is_chat_model=True).complete("abc")
except openai.NotFoundError as error:
    found["chat"] = error.message
print(json.dumps(found))
