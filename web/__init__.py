"""The web door: the browser's API and page, and the OpenAI-compatible API lane."""
