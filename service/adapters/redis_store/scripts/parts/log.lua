-- The log of a monitor: panes and events under one sequence of numbers.

local function next_number(monitor)
  redis.call('SADD', key('undecided'), monitor)
  return redis.call('HINCRBY', key('monitor', monitor), 'sequence', 1)
end

local function close_pane(monitor, body)
  local number = next_number(monitor)
  redis.call('XADD', key('panes', monitor), number .. '-0', 'p', body)
  return number
end

-- {is it new, number, body}: an event that is there already comes back as it was stored.
local function record_event(event)
  local known = redis.call('HGET', key('event-ids'), event.id)
  if known then
    local number, monitor = string.match(known, '^(%d+) (.*)$')
    local found = redis.call('XRANGE', key('events', monitor), number .. '-0', number .. '-0')
    return {0, tonumber(number), found[1][2][2]}
  end
  local number = next_number(event.monitor)
  redis.call('XADD', key('events', event.monitor), number .. '-0', 'e', raw(event.body))
  redis.call('HSET', key('event-ids'), event.id, number .. ' ' .. event.monitor)
  return {1, number, ''}
end
