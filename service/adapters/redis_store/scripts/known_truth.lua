#!lua flags=no-writes
-- What is known of some samples, and those of which only that they were judged is remembered.
local found, past = {}, {}
for _, sample in ipairs(given.samples) do
  local stored = redis.call('HGET', key('judged', given.monitor), sample)
  if stored then
    found[#found + 1] = stored
  elseif redis.call('ZSCORE', key('judged', given.monitor, 'past'), sample) then
    past[#past + 1] = sample
  end
end
return {found, past}
