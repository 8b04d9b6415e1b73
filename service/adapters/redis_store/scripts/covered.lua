#!lua flags=no-writes
-- The panes between those that are archived and a checkpoint: what is to be archived next.
local archived = tonumber(redis.call('HGET', key('monitor', given.monitor), 'archived') or 0)
if archived >= given.to then return {archived, {}} end
return {archived, redis.call('XRANGE', key('panes', given.monitor), string.format('%d', archived + 1), string.format('%d', given.to))}
