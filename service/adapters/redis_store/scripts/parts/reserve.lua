-- A monitor's reserve: a hash for each row, and for each part its rows in order of their keys.

local function row_key(monitor, sample)
  return key('reserve', monitor, 'row', sample)
end

-- Keys that were made with another half-life would stand above all new ones, or below them.
local function age_reserve(monitor, half_life)
  local at, log2 = key('reserve', monitor), math.log(2)
  local known = tonumber(redis.call('HGET', at, 'half_life'))
  if known == half_life then return end
  redis.call('HSET', at, 'half_life', half_life)
  for _, part in ipairs(known and redis.call('SMEMBERS', key('reserve', monitor, 'parts')) or {}) do
    local order = key('reserve', monitor, 'part', part)
    local rows = redis.call('ZRANGE', order, 0, -1, 'WITHSCORES')
    for place = 1, #rows, 2 do
      local since = redis.call('HGET', row_key(monitor, rows[place]), 'at')
      redis.call('ZADD', order, rows[place + 1] + since * (log2 / half_life - log2 / known), rows[place])
    end
  end
end

-- What is known of a row by now: of one that is there already, only what the newcomer knows better.
local function learn(at, row)
  local held = redis.call('HGET', at, 'body')
  if not held or struct.unpack('<I4', held) < struct.unpack('<I4', row.body) then redis.call('HSET', at, 'body', row.body) end
  for _, field in ipairs({'output', 'label', 'payload'}) do
    if row[field] then redis.call('HSET', at, field, row[field]) end
  end
  redis.call('HSET', at, 'count', math.max(row.count, tonumber(redis.call('HGET', at, 'count') or 0)))
end

-- A row in no part any more goes.
local function take_out(monitor, part, sample)
  local at = row_key(monitor, sample)
  if redis.call('ZREM', key('reserve', monitor, 'part', part), sample) == 0 then return 0 end
  if redis.call('HINCRBY', at, 'parts', -1) == 0 then
    local twin = redis.call('HGET', at, 'twin')
    if twin then redis.call('HDEL', key('reserve', monitor, 'twins'), twin) end
    redis.call('DEL', at)
  end
  if redis.call('ZCARD', key('reserve', monitor, 'part', part)) == 0 then redis.call('SREM', key('reserve', monitor, 'parts'), part) end
  return 1
end

local function trim_part(monitor, part, quota)
  local order = key('reserve', monitor, 'part', part)
  local beyond = redis.call('ZCARD', order) - quota
  if beyond <= 0 then return end
  for _, sample in ipairs(redis.call('ZRANGE', order, 0, beyond - 1)) do take_out(monitor, part, sample) end
end

-- Who stands for what a row repeats: that sample, or one that stands in for it since it has gone.
local function leader_of(monitor, row)
  if row.twin == '' or redis.call('EXISTS', row_key(monitor, row.id)) == 1 then return nil end
  if redis.call('EXISTS', row_key(monitor, row.twin)) == 1 then return row.twin end
  return redis.call('HGET', key('reserve', monitor, 'twins'), row.twin)
end

-- Takes rows in and lets go of those with the smallest keys; the rows that were given. Once is as good as twice, but for the counts of twins.
local function reserve(given)
  local monitor, rows = given.monitor, cmsgpack.unpack(raw(given.rows))
  age_reserve(monitor, given.half_life)
  for _, row in ipairs(rows) do
    local leader = leader_of(monitor, row)
    local sample = leader or row.id
    local at = row_key(monitor, sample)
    if leader then
      redis.call('HINCRBY', at, 'count', row.count)
    else
      if row.twin ~= '' and redis.call('EXISTS', at) == 0 then
        redis.call('HSET', at, 'twin', row.twin)
        redis.call('HSET', key('reserve', monitor, 'twins'), row.twin, sample)
      end
      learn(at, row)
      if row.payload then redis.call('SADD', key('payloads'), monitor) end
    end
    redis.call('HSET', at, 'at', math.max(row.at, tonumber(redis.call('HGET', at, 'at') or row.at)))
    for part, rank in pairs(row.keys) do
      redis.call('SADD', key('reserve', monitor, 'parts'), part)
      local new = redis.call('ZADD', key('reserve', monitor, 'part', part), 'GT', rank, sample)
      if new == 1 then redis.call('HINCRBY', at, 'parts', 1) end
    end
  end
  for part, quota in pairs(given.quotas) do trim_part(monitor, part, quota) end
  return rows
end
