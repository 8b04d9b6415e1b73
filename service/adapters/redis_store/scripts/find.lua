#!lua flags=no-writes
-- The newest members of a few sorted sets, after one of them if it is named, with a field of each member's hash.
local from, after = '+inf', given.after
if after then
  from = redis.call('HGET', prefix .. given.hashes .. after, given.order)
  if not from then return refuse('NOTFOUND', "no %s '%s'", given.name, after) end
end

-- By bytes, as sorted sets are, whatever the server's locale.
local function comes_before(one, other)
  for place = 1, math.min(#one, #other) do
    local a, b = string.byte(one, place), string.byte(other, place)
    if a ~= b then return a < b end
  end
  return #one < #other
end

local function is_passed(member, score)
  return after and score == tonumber(from) and not comes_before(member, after)
end

local found = {}
for _, index in ipairs(given.indexes) do
  local first, taken, members = 0, 0, nil
  repeat
    members = redis.call('ZRANGE', prefix .. index, from, '-inf', 'BYSCORE', 'REV', 'LIMIT', first, given.limit, 'WITHSCORES')
    for place = 1, #members, 2 do
      local member, score = members[place], tonumber(members[place + 1])
      if not is_passed(member, score) and redis.call('EXISTS', prefix .. given.hashes .. member) == 1 then
        found[#found + 1] = {member, score}
        taken = taken + 1
      end
    end
    first = first + given.limit
  until taken >= given.limit or #members < 2 * given.limit
end
table.sort(found, function(a, b)
  if a[2] == b[2] then return comes_before(b[1], a[1]) end
  return a[2] > b[2]
end)

local documents = {}
for place = 1, math.min(#found, given.limit) do
  documents[place] = redis.call('HGET', prefix .. given.hashes .. found[place][1], 'document')
end
return documents
