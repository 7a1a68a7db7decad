"""The administration verbs of `parley`: each opens the runtime, does one thing, prints it, and leaves.

They work beside a running server, which notices through the change feed within two seconds.
"""

from core.admin_cli import doctor
from core.admin_cli.parser import Parser, add_verbs
from core.admin_cli.run import run_verb

__all__ = ["Parser", "add_verbs", "doctor", "run_verb"]
