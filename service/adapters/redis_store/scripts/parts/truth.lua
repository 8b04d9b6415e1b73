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

-- Begun with its number and the reference version of the answer: a sample that is known already keeps the number that it has, unless it was
-- known without a version and has one now.
local function add_judgement(monitor, judgement, stored)
  local number, version
  if stored then number, version = struct.unpack('<dI4', stored) end
  if not stored or (version == 0 and judgement.version > 0) then
    number = redis.call('HINCRBY', key('monitor', monitor), 'judged', 1)
    redis.call('ZADD', key('judged', monitor, 'order'), number, judgement.sample)
  end
  redis.call('HSET', key('judged', monitor), judgement.sample, struct.pack('<dI4', number, judgement.version) .. raw(judgement.body))
end

-- What the log does not tell of stays; of older ones only the samples do, and those not for ever.
local function make_room(truths)
  local at, order, past = key('judged', truths.monitor), key('judged', truths.monitor, 'order'), key('judged', truths.monitor, 'past')
  local last = tonumber(redis.call('HGET', key('monitor', truths.monitor), 'judged') or 0)
  local told = tonumber(redis.call('HGET', key('monitor', truths.monitor), 'told') or 0)
  while true do
    local oldest = redis.call('ZRANGE', order, 0, 0, 'WITHSCORES')
    if not oldest[1] or tonumber(oldest[2]) > math.min(last - truths.keep, told) then break end
    redis.call('HDEL', at, oldest[1])
    redis.call('ZREM', order, oldest[1])
    redis.call('ZADD', past, oldest[2], oldest[1])
  end
  while true do
    local oldest = redis.call('ZRANGE', past, 0, 0, 'WITHSCORES')
    if not oldest[1] or tonumber(oldest[2]) > last - truths.remember then break end
    redis.call('ZREM', past, oldest[1])
  end
end

-- Returns the samples of which something else is known by now.
local function judge(truths)
  local overtaken = {}
  for _, judgement in ipairs(truths.judgements) do
    local stored = redis.call('HGET', key('judged', truths.monitor), judgement.sample)
    local body, before = stored and string.sub(stored, 13) or '', judgement.before and raw(judgement.before) or ''
    local past = not stored and redis.call('ZSCORE', key('judged', truths.monitor, 'past'), judgement.sample)
    if past or (truths.compared and body ~= before) then
      overtaken[#overtaken + 1] = judgement.sample
    else
      add_judgement(truths.monitor, judgement, stored)
    end
  end
  make_room(truths)
  return overtaken
end
