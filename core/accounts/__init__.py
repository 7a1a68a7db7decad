"""Who: accounts, the ways they are recognised, passwords, web sessions, API keys, and joining two accounts."""

from core.accounts.api_keys import authenticate, create_key, keys, revoke_key
from core.accounts.linking import agree, claim_link, get_link, refuse_link, start_link
from core.accounts.merging import absorb, merged_lately, pair_up
from core.accounts.service import (
    change_password,
    check_password,
    create,
    ensure_root,
    find,
    get,
    identities,
    listing,
    resolve,
    set_default_model,
    set_locale,
    set_password,
)
from core.accounts.sessions import close_session, close_sessions, open_session, session
from core.accounts.types import Account, ApiKey, Identity, Link, LinkState, Role, State

__all__ = [
    "Account",
    "ApiKey",
    "Identity",
    "Link",
    "LinkState",
    "Role",
    "State",
    "absorb",
    "agree",
    "authenticate",
    "change_password",
    "check_password",
    "claim_link",
    "close_session",
    "close_sessions",
    "create",
    "create_key",
    "ensure_root",
    "find",
    "get",
    "get_link",
    "identities",
    "keys",
    "listing",
    "merged_lately",
    "open_session",
    "pair_up",
    "refuse_link",
    "resolve",
    "revoke_key",
    "session",
    "set_default_model",
    "set_locale",
    "set_password",
    "start_link",
]
