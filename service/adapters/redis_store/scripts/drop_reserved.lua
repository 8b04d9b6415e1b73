#!lua
-- use: reserve
-- Takes samples out of a part of a monitor's reserve, or out of all; how many were in it.
local parts, dropped = given.part and {given.part} or redis.call('SMEMBERS', key('reserve', given.monitor, 'parts')), 0
for _, sample in ipairs(given.samples) do
  local taken = 0
  for _, part in ipairs(parts) do taken = taken + take_out(given.monitor, part, sample) end
  if taken > 0 then dropped = dropped + 1 end
end
return dropped
