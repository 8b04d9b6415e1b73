#!lua flags=allow-oom
-- use: log
return record_event(given)
