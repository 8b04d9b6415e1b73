"""What driftgate tells Prometheus.

`inventory` declares every metric once; `counting` counts what happens, as the observer of the roles; `reading` asks at each scrape for
what stands: `monitors` and `alarms` from what the last decisions say, `installed` from the store. `timing` measures the store, and
`exposition` makes a scrape.
"""

from service.metrics.counting import Metrics
from service.metrics.declared import Role
from service.metrics.exposition import exposition
from service.metrics.timing import timed

__all__ = ["Metrics", "Role", "exposition", "timed"]
