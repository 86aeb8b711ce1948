"""Serving models over HTTP, in the form that OpenAI's clients speak. Without torch.

guard        who may come in: Host, Origin, API key, sizes; for any ASGI application
connection   one HTTP connection with limits on time and size
host         how the server is bound, started, drained and stopped
"""
