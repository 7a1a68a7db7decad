"""The API lane: OpenAI-compatible routes for programs, by API key. No conversation, no turn, no event log."""
