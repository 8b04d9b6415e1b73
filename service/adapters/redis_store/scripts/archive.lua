#!lua flags=allow-oom
-- Panes that are archived go, unless another has archived meanwhile.
local at = key('monitor', given.monitor)
if tonumber(redis.call('HGET', at, 'archived') or 0) == given.after then
  redis.call('HSET', at, 'archived', given.to)
  redis.call('XTRIM', key('panes', given.monitor), 'MINID', string.format('%d', given.to + 1))
end
