"""The C program of an export: templates, and what fills them."""
