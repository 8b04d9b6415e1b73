#!lua flags=no-writes
-- use: letter
-- One dead letter, if it is there.
return letter(given.id)
