#!lua flags=no-writes
-- use: letter
-- A page of dead letters: newest first, or the oldest that wait for their topic.
local page = {given.first, given.first + given.limit - 1}
local ids
if given.unsent then
  ids = redis.call('ZRANGE', key('letters', 'unsent'), page[1], page[2])
else
  ids = redis.call('ZRANGE', key('letters'), page[1], page[2], 'REV')
end
local found = {}
for place, id in ipairs(ids) do found[place] = letter(id) end
return found
