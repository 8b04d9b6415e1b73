#!lua flags=no-writes
-- The newest members of a few sorted sets, with a field of each member's hash.
local found = {}
for _, index in ipairs(given.indexes) do
  local members = redis.call('ZRANGE', prefix .. index, 0, given.limit - 1, 'REV', 'WITHSCORES')
  for place = 1, #members, 2 do found[#found + 1] = {members[place], tonumber(members[place + 1])} end
end
if #given.indexes > 1 then
  table.sort(found, function(a, b)
    if a[2] == b[2] then return a[1] > b[1] end
    return a[2] > b[2]
  end)
end
local documents = {}
for _, member in ipairs(found) do
  if #documents == given.limit then break end
  local document = redis.call('HGET', prefix .. given.hashes .. member[1], 'document')
  if document then documents[#documents + 1] = document end
end
return documents
