#!lua flags=allow-oom
-- use: log
-- The event that tells of judgements, unless the log has been told of more or fewer meanwhile.
local at = key('monitor', given.event.monitor)
local told = tonumber(redis.call('HGET', at, 'told') or 0)
if told ~= given.after then
  return refuse('CONFLICT', 'monitor %s: its log tells of judgements up to %d, not %d; read again', given.event.monitor, told, given.after)
end
redis.call('HSET', at, 'told', given['until'])
return record_event(given.event)
