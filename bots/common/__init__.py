"""What both bots share; imports neither library.

Reading order for a new door: surface.py (what to implement), door.py (what to tell), inbound.py (what to read),
dispatch.py (what then happens), present.py (how an answer is shown), pager.py and pacing.py (pure helpers).
"""
