-- Answers until their truth comes, and judgements since it came.

-- A block under the number of its last row, begun with how many it has; those that lie wholly before the newest rows go.
local function add_answers(block)
  local at, order = key('answers', block.monitor), key('answers', block.monitor, 'order')
  local last = redis.call('HINCRBY', key('monitor', block.monitor), 'answered', block.rows)
  local name = string.format('%d', last)
  redis.call('HSET', at, name, struct.pack('<I4', block.rows) .. raw(block.body))
  redis.call('ZADD', order, last, name)
  redis.call('SADD', key('answering'), block.monitor)
  while true do
    local oldest = redis.call('ZRANGE', order, 0, 0)[1]
    if not oldest or tonumber(oldest) > last - block.keep then return end
    redis.call('HDEL', at, oldest)
    redis.call('ZREM', order, oldest)
  end
end

-- Begun with its number: a sample that is known already keeps the one that it has.
local function add_judgement(monitor, judgement)
  local at, order = key('judged', monitor), key('judged', monitor, 'order')
  local stored = redis.call('HGET', at, judgement.sample)
  local number = stored and struct.unpack('<d', stored) or redis.call('HINCRBY', key('monitor', monitor), 'judged', 1)
  redis.call('HSET', at, judgement.sample, struct.pack('<d', number) .. raw(judgement.body))
  if not stored then redis.call('ZADD', order, number, judgement.sample) end
end

local function judge(truths)
  redis.call('HINCRBY', key('monitor', truths.monitor), 'revision', 1)
  for _, judgement in ipairs(truths.judgements) do add_judgement(truths.monitor, judgement) end
  local at, order = key('judged', truths.monitor), key('judged', truths.monitor, 'order')
  local last = tonumber(redis.call('HGET', key('monitor', truths.monitor), 'judged') or 0)
  while true do
    local oldest = redis.call('ZRANGE', order, 0, 0, 'WITHSCORES')
    if not oldest[1] or tonumber(oldest[2]) > last - truths.keep then return end
    redis.call('HDEL', at, oldest[1])
    redis.call('ZREM', order, oldest[1])
  end
end
