#!lua
-- use: truth
-- What became known of a monitor's samples, as far as nothing else did meanwhile.
return judge(given)
