-- Passes each id once an hour.
--
--   printf '{"id":1}\n{"id":2}\n{"id":1}\n' | tributary run network.lua --input in=- --output out=-
local tb = require("tributary")

tb.create_filter("once", "1h", { by = "id" })
tb.chain("in", "once", "out")
