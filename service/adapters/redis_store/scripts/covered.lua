#!lua flags=no-writes
-- Panes between those that are archived and a checkpoint, the oldest of them: what is to be archived next.
local archived = tonumber(redis.call('HGET', key('monitor', given.monitor), 'archived') or 0)
if archived >= given.to then return {archived, {}} end
local from, to = string.format('%d', archived + 1), string.format('%d', given.to)
return {archived, redis.call('XRANGE', key('panes', given.monitor), from, to, 'COUNT', given.limit)}
