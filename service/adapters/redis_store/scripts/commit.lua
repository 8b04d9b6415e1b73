#!lua
-- use: held log letters reserve truth
-- All that a batch of one partition changes, or nothing.
local at = key('partition', given.partition)
local problem = not_held(given.partition, given.epoch)
if problem then return refuse('CONFLICT', '%s', problem) end
local offset, stopped = tonumber(redis.call('HGET', at, 'offset')), stopped_for(at)
if stopped ~= '' then
  return refuse('CONFLICT', 'partition %s: stopped (%s); say with `driftgate offsets reset` where to go on', given.partition, stopped)
end
if given.expected ~= offset then
  return refuse('CONFLICT', 'partition %s: stands at offset %d, the commit expected %d', given.partition, offset, given.expected)
end
if given.next < offset then
  return refuse('CONFLICT', "partition %s: a commit can't go back from offset %d to %d", given.partition, offset, given.next)
end
local raised = {}
for monitor, version in pairs(given.shapes) do
  local known = tonumber(string.match(redis.call('HGET', at .. ':shapes', monitor) or '0', '^%d+'))
  if version < known then
    return refuse('CONFLICT',
      "partition %s: panes of monitor %s are shaped by version %d of its settings, the commit knows %d; read the monitor's declaration again",
      given.partition, monitor, known, version)
  end
  if version > known then raised[monitor] = version end
end

redis.call('HSET', at, 'offset', given.next, 'time', given.time)
if given.lost > 0 then redis.call('HINCRBY', at, 'lost', given.lost) end
for monitor, version in pairs(raised) do
  redis.call('HSET', at .. ':shapes', monitor, string.format('%d %d', version, given.expected))
end
for monitor, taken in pairs(given.counts) do redis.call('HINCRBY', key('monitor', monitor), 'taken', taken) end

for _, pane in ipairs(given.touched) do
  redis.call('SADD', at .. ':open', pane.monitor)
  redis.call('HSET', at .. ':open:' .. pane.monitor, pane.field, raw(pane.body))
end
local numbers = {}
for place, pane in ipairs(given.closed) do
  local open = at .. ':open:' .. pane.monitor
  if redis.call('HDEL', open, pane.field) == 1 and redis.call('EXISTS', open) == 0 then
    redis.call('SREM', at .. ':open', pane.monitor)
  end
  numbers[place] = close_pane(pane.monitor, raw(pane.body))
end

-- The oldest chunks go once the rows behind them fill the pool.
for _, chunk in ipairs(given.pooled) do
  local columns, vectors, monitor = key('pool', chunk.monitor), key('vectors', chunk.monitor), key('monitor', chunk.monitor)
  redis.call('RPUSH', columns, raw(chunk.columns))
  redis.call('RPUSH', vectors, raw(chunk.vectors))
  if chunk.payloads then redis.call('SADD', key('payloads'), chunk.monitor) end
  redis.call('HINCRBY', monitor, 'pooled', chunk.pooled)
  local held, drop = redis.call('HINCRBY', monitor, 'held', chunk.rows), 0
  while true do
    local oldest = redis.call('LINDEX', columns, drop)
    local rows = oldest and struct.unpack('<I4', oldest)
    if not rows or held - rows < chunk.capacity then break end
    held, drop = held - rows, drop + 1
  end
  if drop > 0 then
    redis.call('LTRIM', columns, drop, -1)
    redis.call('LTRIM', vectors, drop, -1)
    redis.call('HSET', monitor, 'held', held)
  end
end

for _, reservation in ipairs(given.reserved) do reserve(reservation) end
for _, block in ipairs(given.answers) do add_answers(block) end
for _, truths in ipairs(given.truths) do judge(truths) end

for _, waiting in ipairs(given.waiting) do redis.call('HSET', at .. ':waiting', waiting.field, raw(waiting.body)) end
for _, field in ipairs(given.answered) do redis.call('HDEL', at .. ':waiting', field) end

-- The recent ids are a ring that is overwritten in place: what a commit adds is all that is written.
local ids, ring = raw(given.ids), at .. ':ids'
local size = #ids / 8
if size > 0 then
  local begins = (redis.call('HINCRBY', at, 'ids', size) - size) % given.remembered
  local fits = math.min(size, given.remembered - begins)
  redis.call('SETRANGE', ring, begins * 8, string.sub(ids, 1, fits * 8))
  if fits < size then redis.call('SETRANGE', ring, 0, string.sub(ids, fits * 8 + 1)) end
end

add_letters(given.letters, given.keep_letters, given.keep_letter_bytes)
return numbers
