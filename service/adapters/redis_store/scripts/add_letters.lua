#!lua
-- use: letters
add_letters(given.letters, given.keep, given.keep_bytes)
