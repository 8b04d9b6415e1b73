"""Truth that comes late: labels matched with what the model had answered, told in the monitor's log, and weighed there."""
