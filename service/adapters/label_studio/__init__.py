"""Label Studio: batches go there as tasks, answers come back by its webhook and by asking. Written against 1.23.

`client` talks HTTP, `form` makes the labelling configuration of a scheme and reads answers by it, `projects` finds or makes the
project of a monitor, `tasks` brings candidates in once each, `hook` reads what Label Studio tells, `destination` puts them together.
"""

from __future__ import annotations

from service.adapters.label_studio.client import Client
from service.adapters.label_studio.destination import LabelStudio
from service.adapters.label_studio.hook import LabelStudioHook, hook_token

__all__ = ["Client", "LabelStudio", "LabelStudioHook", "hook_token"]
