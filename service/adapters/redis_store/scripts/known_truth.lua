#!lua flags=no-writes
-- The revision of all that is known, and what is of some samples.
local found = {}
for _, sample in ipairs(given.samples) do
  local stored = redis.call('HGET', key('judged', given.monitor), sample)
  if stored then found[#found + 1] = stored end
end
return {tonumber(redis.call('HGET', key('monitor', given.monitor), 'revision') or 0), found}
