#!lua flags=no-writes
-- use: letters_read
-- One dead letter, if it is there.
return letter(given.id)
