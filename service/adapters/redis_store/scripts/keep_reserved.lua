#!lua
-- use: reserve
-- Takes rows into a monitor's reserve; how many of them are there then.
local there, counted = 0, {}
for _, row in ipairs(reserve(given)) do
  if not counted[row.id] then there = there + redis.call('EXISTS', row_key(given.monitor, row.id)) end
  counted[row.id] = true
end
return there
