#!lua flags=no-writes
-- Panes and events above a number, and up to which number panes are archived.
local archived = tonumber(redis.call('HGET', key('monitor', given.monitor), 'archived') or 0)
local from = math.max(given.after, archived)
local function span(name, after)
  return redis.call('XRANGE', key(name, given.monitor), string.format('%d', after + 1), '+', 'COUNT', given.limit)
end
return {archived, span('panes', from), span('events', given.after)}
