#!lua
-- Samples of a partition that wait for a response no more.
return redis.call('HDEL', key('partition', given.partition, 'waiting'), unpack(given.fields))
