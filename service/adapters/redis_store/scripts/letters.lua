#!lua flags=no-writes
-- use: letter
-- A page of dead letters: newest first, after one of them if it is named, or the oldest that wait for their topic.
local ids
if given.unsent then
  ids = redis.call('ZRANGE', key('letters', 'unsent'), given.first, given.first + given.limit - 1)
else
  local after = given.after and redis.call('ZSCORE', key('letters'), given.after)
  if given.after and not after then return refuse('NOTFOUND', "no dead letter '%s'; it may have made room for newer ones", given.after) end
  local from = after and '(' .. after or '+inf'
  ids = redis.call('ZRANGE', key('letters'), from, '-inf', 'BYSCORE', 'REV', 'LIMIT', given.first, given.limit)
end
local found = {}
for place, id in ipairs(ids) do found[place] = letter(id) end
return found
