#!lua flags=allow-oom
-- use: letters
for _, id in ipairs(given.ids) do mark_sent(id) end
trim_letters(given.keep, given.keep_bytes)
