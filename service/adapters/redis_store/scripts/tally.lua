#!lua flags=no-writes
-- How many entities of a kind there are: `state:monitor` and the number, in turns.
return redis.call('HGETALL', key('entities', given.kind, 'tally'))
