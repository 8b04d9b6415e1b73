#!lua flags=allow-oom
-- use: entities
-- Lets go of entities; how many of them were there.
local dropped = 0
for _, id in ipairs(given.ids) do dropped = dropped + drop_entity(given.kind, id) end
return dropped
