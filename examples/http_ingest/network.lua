-- Accepts events by HTTP, passes each id once an hour, and posts them to a webhook.
--
-- In one terminal:
--
--   WEBHOOK=http://127.0.0.1:9000/alerts cargo run --release --features http -- run examples/http_ingest/network.lua
--
-- In another one; the command ends when the event was delivered:
--
--   curl -i --data '{"id":1,"text":"hello"}' http://127.0.0.1:8080/events
--
local tb = require("tributary")

tb.create_source("in", "http://127.0.0.1:8080/events")
tb.create_filter("once", "1h", { by = "id" })
tb.create_sink("out", "${env:WEBHOOK}", { body = { id = "{data.id}", text = "{data.text} at {time}" } })
tb.chain("in", "once", "out")
