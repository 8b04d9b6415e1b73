#!lua flags=no-writes
-- The rows of a monitor's reserve, or of one part of it: each part's with their keys, and all that is known of each.
local found, samples, seen = {}, {}, {}
for _, part in ipairs(redis.call('SMEMBERS', key('reserve', given.monitor, 'parts'))) do
  local rows = redis.call('ZRANGE', key('reserve', given.monitor, 'part', part), 0, -1, 'WITHSCORES')
  found[#found + 1] = {part, rows}
  for place = 1, #rows, 2 do
    if (not given.part or given.part == part) and not seen[rows[place]] then
      seen[rows[place]] = true
      samples[#samples + 1] = rows[place]
    end
  end
end
local rows = {}
for place, sample in ipairs(samples) do
  rows[place] = {sample, redis.call('HMGET', key('reserve', given.monitor, 'row', sample), 'at', 'count', 'body', 'output', 'label', 'payload')}
end
return {found, rows}
