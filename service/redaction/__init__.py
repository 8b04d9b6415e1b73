"""Personal and secret values taken out of samples: the one way that every sample passes before it is kept, sent on or embedded."""

from service.redaction.passing import passed, passed_original, passed_records
from service.redaction.rules import NOTHING, Redaction

__all__ = ["NOTHING", "Redaction", "passed", "passed_original", "passed_records"]
