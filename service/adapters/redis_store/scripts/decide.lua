#!lua flags=allow-oom
-- use: entities timeline
-- All that deciding a run of panes changes, or nothing. Allowed when memory is full: what is decided can go.
local at = key('monitor', given.monitor)
if given.fence then
  local token = tonumber(redis.call('HGET', key('lease', given.fence.lease), 'token') or 0)
  if given.fence.token ~= token then
    return refuse('CONFLICT', 'lease %s: token %d is over, %d was given since; only its holder decides', given.fence.lease, given.fence.token, token)
  end
end
local stored = redis.call('HMGET', at, 'decided', 'sequence')
local decided, last = tonumber(stored[1] or 0), tonumber(stored[2] or 0)
if given.expected ~= decided then
  return refuse('CONFLICT', 'monitor %s: decided up to %d, the decision expected %d; read again from there', given.monitor, decided, given.expected)
end
if given.to < decided or given.to > last then
  return refuse('CONFLICT', "monitor %s: can't decide up to %d; decided %d, recorded %d", given.monitor, given.to, decided, last)
end
local problem = entity_conflict(given.entities)
if problem then return refuse('CONFLICT', '%s', problem) end

redis.call('HSET', at, 'decided', given.to)
if given.to == last then redis.call('SREM', key('undecided'), given.monitor) end
if given.state then redis.call('SET', key('state', given.monitor), raw(given.state)) end
save(given.entities, given.outbox)
add_passages(given.monitor, given.timeline)
if given.checkpoint then
  redis.call('SET', key('checkpoint', given.monitor), raw(given.checkpoint))
  redis.call('HSET', at, 'covered', given.to)
end
