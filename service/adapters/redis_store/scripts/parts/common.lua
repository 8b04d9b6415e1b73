-- Begins every script, after its shebang. Keys are made from the prefix; all checks come before the first write, for nothing is undone.
local prefix, newest, given = ARGV[1], tonumber(ARGV[2]), cmsgpack.unpack(ARGV[3])

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

-- The level of the keys: what is written is in the form of this one. levels.py has the rule of who may work on them.
local level = tonumber(redis.call('GET', key('schema')) or 0)
local fits = level > 0 and level >= newest - 1
if level > newest then fits = tonumber(redis.call('GET', key('oldest')) or level) <= newest end
if not fits then return refuse('SCHEMA', '%d', level) end
