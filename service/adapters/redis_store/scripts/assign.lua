#!lua flags=allow-oom
-- use: held
-- Raises the epoch, so that whoever held the partition before can't commit any more; returns what the last commit left.
local at = key('partition', given.partition)
if redis.call('EXISTS', at) == 0 then
  redis.call('SADD', key('partitions'), given.partition)
  redis.call('HSET', at, 'start', given.start, 'offset', given.start, 'time', 0, 'lost', 0, 'stopped', '', 'retired', 0, 'ids', 0)
end
redis.call('HINCRBY', at, 'epoch', 1)
local open = {}
for _, monitor in ipairs(redis.call('SMEMBERS', at .. ':open')) do
  open[#open + 1] = {monitor, redis.call('HVALS', at .. ':open:' .. monitor)}
end
return {
  redis.call('HMGET', at, 'epoch', 'offset', 'time', 'ids'),
  stopped_for(at),
  open,
  redis.call('HVALS', at .. ':waiting'),
  redis.call('GET', at .. ':ids') or '',
  redis.call('HGETALL', at .. ':shapes'),
}
