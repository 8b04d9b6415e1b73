#!lua
-- Writes nothing, but is refused as a commit would be: memory full, a replica, a disk that takes nothing.
return stands
