#!lua
-- use: letters_add
add_letters(given.letters, given.keep, given.keep_bytes)
