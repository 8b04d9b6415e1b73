-- Dead letters: the newest are kept, within a number and a size; what waits for its topic stays.

local function drop_letter(id)
  redis.call('HINCRBY', key('letters', 'size'), 'bytes', -redis.call('HSTRLEN', key('letters', 'bodies'), id))
  redis.call('HDEL', key('letters', 'bodies'), id)
  redis.call('HDEL', key('letters', 'blobs'), id)
  redis.call('ZREM', key('letters', 'sent'), id)
  redis.call('ZREM', key('letters'), id)
end

local function trim_letters(keep, keep_bytes)
  while true do
    local oldest = redis.call('ZRANGE', key('letters', 'sent'), 0, 0)[1]
    local newest = redis.call('ZRANGE', key('letters'), -1, -1)[1]
    local bytes = tonumber(redis.call('HGET', key('letters', 'size'), 'bytes') or 0)
    if not oldest or oldest == newest or (redis.call('ZCARD', key('letters', 'sent')) <= keep and bytes <= keep_bytes) then
      return
    end
    drop_letter(oldest)
  end
end

local function mark_sent(id)
  local number = redis.call('ZSCORE', key('letters', 'unsent'), id)
  if number then
    redis.call('ZREM', key('letters', 'unsent'), id)
    redis.call('ZADD', key('letters', 'sent'), number, id)
  end
end

local function add_letter(letter)
  if redis.call('ZSCORE', key('letters'), letter.id) then
    if letter.sent then mark_sent(letter.id) end
    return
  end
  local number = redis.call('HINCRBY', key('letters', 'size'), 'number', 1)
  redis.call('HINCRBY', key('letters', 'size'), 'bytes', #raw(letter.body))
  redis.call('HSET', key('letters', 'bodies'), letter.id, raw(letter.body))
  if letter.blob ~= '' then redis.call('HSET', key('letters', 'blobs'), letter.id, letter.blob) end
  redis.call('ZADD', key('letters'), number, letter.id)
  redis.call('ZADD', key('letters', letter.sent and 'sent' or 'unsent'), number, letter.id)
end

local function add_letters(letters, keep, keep_bytes)
  for _, letter in ipairs(letters) do add_letter(letter) end
  if #letters > 0 then trim_letters(keep, keep_bytes) end
end
