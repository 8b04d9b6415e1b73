-- A dead letter as it is read: body, whether it was sent, where its original lies if that was too large.
local function letter(id)
  local body = redis.call('HGET', key('letters', 'bodies'), id)
  local waits = redis.call('ZSCORE', key('letters', 'unsent'), id)
  return body and {body, waits and 0 or 1, redis.call('HGET', key('letters', 'blobs'), id) or ''}
end
