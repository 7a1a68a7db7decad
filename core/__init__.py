"""The house: rooms by domain, in layers; a room imports only rooms below it.

11 runtime, admin_cli · 10 commands · 9 care · 8 turns · 6 calls · 5 router · 4 channels, billing, conversations ·
3 accounts, catalog · 2 adapters, settings, live, limits, inbox · 1 chat, i18n, audit · 0 kit · outside: config, db
"""
