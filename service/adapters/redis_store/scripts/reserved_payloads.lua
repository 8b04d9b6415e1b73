#!lua flags=no-writes
-- Of each row of a monitor's reserve that has a payload: since when it ages, and where the payload lies.
local found, seen = {}, {}
for _, part in ipairs(redis.call('SMEMBERS', key('reserve', given.monitor, 'parts'))) do
  for _, sample in ipairs(redis.call('ZRANGE', key('reserve', given.monitor, 'part', part), 0, -1)) do
    local row = not seen[sample] and redis.call('HMGET', key('reserve', given.monitor, 'row', sample), 'at', 'payload')
    if row and row[2] then found[#found + 1] = {row[1], sample, row[2]} end
    seen[sample] = true
  end
end
return found
