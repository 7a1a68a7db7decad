"""The callers' dialects: their JSON ↔ our Call and Delta. One file a dialect."""
