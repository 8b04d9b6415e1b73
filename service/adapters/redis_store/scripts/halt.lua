#!lua flags=allow-oom
-- use: held
-- Stops a partition that is still held under this epoch.
local problem = not_held(given.partition, given.epoch)
if problem then return refuse('CONFLICT', '%s', problem) end
redis.call('HSET', key('partition', given.partition), 'stopped', given.reason)
