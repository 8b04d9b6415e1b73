#!lua
-- use: letters
-- Dead letters that go before their time; how many of them were there.
local dropped = 0
for _, id in ipairs(given.ids) do
  if redis.call('ZSCORE', key('letters'), id) then
    redis.call('ZREM', key('letters', 'unsent'), id)
    drop_letter(id)
    dropped = dropped + 1
  end
end
return dropped
