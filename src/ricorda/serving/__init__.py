"""Serving models over HTTP, in the form that OpenAI's clients speak. Without torch.

guard        who may come in: Host, Origin, API key, sizes; for any ASGI application
connection   one HTTP connection with limits on time and size
host         how the server is bound, started, drained and stopped
limits       what clients share: connection slots, memory, turns and the queue of texts
schema       the fields of requests and answers
requests     a body of JSON becomes prompts of symbols
task         one request that an engine works on, from its checks to its end
completion   a request for texts
embedding    a request for vectors
worker       the thread that runs a model
answers      symbols become JSON
api          the routes and their description
"""
