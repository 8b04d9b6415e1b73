"""Who may do what: tokens, sessions, a proxy that says who asks, roles over monitors, limits, and what was done by whom.

    origins, buckets    where a request comes from, how often one may ask
    principals          who asks, and over which monitors they have which role
    rules               what each route asks for
    tokens, lookups     tokens of the store, and what is remembered of them for a moment
    sessions            cookies and forms of the console
    proxies             an authenticating proxy in front
    configured          what the configuration says
    gate                all of it held against one request
    acting, auditing    who is acting now, and the log of what they changed
    quotas              what a team may take

On loopback everything is open until there is a token, but only under a loopback `Host`, so that a web page whose name was pointed at this
machine is refused, and only to pages of our own. Elsewhere nothing is open but the probes and what carries a signature.
"""

from service.access.configured import Access, session_key
from service.access.origins import is_loopback
from service.access.principals import Grant, Principal, granted
from service.access.rules import HOOKS, PROBES

__all__ = ["HOOKS", "PROBES", "Access", "Grant", "Principal", "granted", "is_loopback", "session_key"]
