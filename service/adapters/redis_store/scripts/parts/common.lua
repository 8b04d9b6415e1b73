-- Begins every script, after its shebang. Keys are made from the prefix; all checks come before the first write, for nothing is undone.
local prefix, schema, given = ARGV[1], ARGV[2], cmsgpack.unpack(ARGV[3])

local function key(...)
  return table.concat({prefix, ...}, ':')
end

-- Bytes come as arguments of their own, and their place in the document.
local function raw(place)
  return ARGV[place]
end

local function refuse(kind, text, ...)
  return {err = kind .. ' ' .. string.format(text, ...)}
end

local stands = redis.call('GET', key('schema'))
if stands ~= schema then
  return refuse('SCHEMA', '%s', stands or '0')
end
