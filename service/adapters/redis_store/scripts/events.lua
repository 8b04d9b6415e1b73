#!lua flags=no-writes
-- Every event of a monitor's log, in order.
return redis.call('XRANGE', key('events', given.monitor), '-', '+')
