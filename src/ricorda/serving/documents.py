"""The API's description: the OpenAPI document, and a page made of it that loads nothing."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import ricorda
from ricorda.pages.document import document, escape
from ricorda.serving.requests import CompletionRequest, DetokenizeRequest, TokenizeRequest
from ricorda.serving.responses import (
    Completion,
    ErrorAnswer,
    Health,
    ModelCard,
    ModelList,
    Readiness,
    Text,
    TokenizerInfo,
    Tokens,
)
from ricorda.serving.settings import ServerSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

REQUESTS: dict[str, type[BaseModel]] = {
    "/v1/completions": CompletionRequest,
    "/tokenize": TokenizeRequest,
    "/detokenize": DetokenizeRequest,
}
ANSWERS: dict[str, type[BaseModel]] = {
    "/v1/completions": Completion,
    "/v1/models": ModelList,
    "/v1/models/{model}": ModelCard,
    "/tokenize": Tokens,
    "/tokenizer_info": TokenizerInfo,
    "/detokenize": Text,
    "/health": Health,
    "/ready": Readiness,
}
EVENT = {
    "type": "object",
    "description": "An event: its data is a Completion in JSON, an ErrorAnswer, or `[DONE]`.",
    "properties": {"data": {"type": "string"}},
    "required": ["data"],
}
REFERENCE = "#/components/schemas/{model}"


def describe(api: "FastAPI", settings: ServerSettings, models: list[str]) -> dict[str, Any]:
    """Make the OpenAPI document of what is served, with this server's own limits in it."""
    schemas = _schemas()
    _put_limits(schemas, settings, models)
    paths: dict[str, Any] = {}
    for route in api.routes:
        path = getattr(route, "path", "")
        if not getattr(route, "include_in_schema", False):
            continue
        for method in sorted(getattr(route, "methods", ())):
            paths.setdefault(path, {})[method.lower()] = _operation(path, route, models)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ricorda",
            "version": ricorda.__version__,
            "description": "Continues and scores texts by recurrent networks.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _schemas() -> dict[str, Any]:
    """Every request and answer as JSON schemas."""
    kinds: list[tuple[type[BaseModel], Any]] = [(each, "validation") for each in REQUESTS.values()]
    answers: list[type[BaseModel]] = [*ANSWERS.values(), ErrorAnswer]
    kinds += [(each, "serialization") for each in answers]
    _, definitions = models_json_schema(kinds, ref_template=REFERENCE)
    found: dict[str, Any] = definitions["$defs"]
    return found


def _put_limits(schemas: dict[str, Any], settings: ServerSettings, models: list[str]) -> None:
    """Say what this server takes."""
    for name in ("CompletionRequest", "TokenizeRequest", "DetokenizeRequest"):
        _first(schemas[name]["properties"]["model"])["enum"] = models
    fields = schemas["CompletionRequest"]["properties"]
    for name, most in (
        ("max_tokens", settings.max_tokens),
        ("n", settings.max_n),
        ("best_of", settings.max_n),
    ):
        _first(fields[name])["maximum"] = most


def _first(schema: dict[str, Any]) -> dict[str, Any]:
    """The part of a schema that is not null."""
    found: dict[str, Any] = schema["anyOf"][0] if "anyOf" in schema else schema
    return found


def _operation(path: str, route: Any, models: list[str]) -> dict[str, Any]:
    """One method of one path."""
    answer = ANSWERS.get(path)
    content: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
    if answer is not None:
        content = {"application/json": {"schema": _reference(answer)}}
    if path == "/v1/completions":
        content["text/event-stream"] = {"schema": EVENT}
    refused = {"description": "Refused.", "content": _error_content()}
    responses: dict[str, Any] = {
        "200": {"description": "Done.", "content": content},
        "4XX": refused,
    }
    if path in ("/v1/completions", "/ready"):
        responses["503"] = {"description": "Not now.", "content": _error_content()}
    operation: dict[str, Any] = {
        "summary": (route.endpoint.__doc__ or "").strip(),
        "operationId": route.name,
        "responses": responses,
    }
    if "{model}" in path:
        schema = {"type": "string", "enum": models}
        operation["parameters"] = [
            {"name": "model", "in": "path", "required": True, "schema": schema}
        ]
    if path == "/tokenizer_info":
        schema = {"type": "string", "enum": models}
        where = {"name": "model", "in": "query", "required": len(models) > 1}
        operation["parameters"] = [where | {"schema": schema}]
    if path in REQUESTS:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(REQUESTS[path])}},
        }
    return operation


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=model.__name__)}


def _error_content() -> dict[str, Any]:
    return {"application/json": {"schema": _reference(ErrorAnswer)}}


def docs_page(description: Mapping[str, Any]) -> str:
    """Make a page that lists every path with the fields of its request and its answer."""
    schemas = description["components"]["schemas"]
    parts = [
        "<header><h1>ricorda's API</h1><p>What OpenAI's clients call the legacy completions API. "
        'The same for programs: <a href="openapi.json">openapi.json</a>.</p></header>'
    ]
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>")
            parts.append(f"<p>{escape(operation['summary'])}</p>")
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body:
                parts.append("<h3>Request</h3>" + _table(schemas, body["schema"]))
            answer = operation["responses"]["200"]["content"].get("application/json")
            if answer:
                parts.append("<h3>Answer</h3>" + _table(schemas, answer["schema"]))
            parts.append("</section>")
    return document("ricorda's API", "".join(parts))


def _table(schemas: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """The fields of a schema, those of the schemas in it after them."""
    schema = schemas[reference["$ref"].rsplit("/", 1)[1]]
    rows = "".join(
        f"<dt><code>{escape(name)}</code> <span class=muted>{escape(_type(field))}</span></dt>"
        f"<dd>{escape(field.get('description', ''))}</dd>"
        for name, field in schema.get("properties", {}).items()
    )
    return f"<dl>{rows}</dl>"


def _type(field: Mapping[str, Any]) -> str:
    """A field's type in words."""
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(map(_type, field["anyOf"])))
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[1]
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    limits = _limits(field)
    named = f"{field.get('type', field.get('const', ''))}"
    return f"{named} {limits}".strip()


def _limits(field: Mapping[str, Any]) -> str:
    words: Iterable[tuple[str, str]] = (("minimum", "at least"), ("maximum", "at most"))
    return " ".join(f"{word} {field[name]}" for name, word in words if name in field)
