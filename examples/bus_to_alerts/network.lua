-- Reads bets from a NATS stream, computes the liability of each game in SQL, and alerts Slack and a
-- RabbitMQ exchange when a game exceeds the limit.
--
--   nats stream add BETS --subjects "bets.>" --defaults
--   NATS=127.0.0.1:4222 AMQP=127.0.0.1:5672 AMQP_PASSWORD=guest SLACK_WEBHOOK=https://hooks.slack.com/… \
--     cargo run --release --features nats,amqp,slack -- run examples/bus_to_alerts/network.lua --db sqlite:bets.db
--   nats pub bets.new '{"uuid":"1","create_time":'$(date +%s)',"game_id":654321,"stake":100,"odds":2.5}'
--
local tb = require("tributary")

-- A bet is acked when everything made of it was delivered: an alert, by both sinks. A bet that failed is
-- delivered again.
tb.create_source("bets", "nats://${env:NATS}/bets.>", { stream = "BETS", durable = "liability" })

tb.create_table("bets", {
    key = "uuid",
    columns = { uuid = "text", create_time = "integer", game_id = "integer", stake = "real", odds = "real" },
})
-- `enter`: one alert when a game exceeds the limit, and none for the bets after that.
tb.window("liability", "alert", {
    table = "bets", time = "create_time", size = "1h", emit = "enter",
    query = [[
        select game_id, round(sum(stake * (odds - 1)), 2) as liability
        from bets
        group by game_id
        having liability > 130
    ]],
})

tb.create_sink("slack", "slack:${env:SLACK_WEBHOOK}", { text = "liability {data.liability} on {data.game_id}" })
tb.create_sink("alerts", "amqp://guest:${env:AMQP_PASSWORD}@${env:AMQP}/%2f", {
    exchange = "alerts", key = "{data.game_id}", declare = { type = "topic" },
})

tb.link("bets", "liability")
tb.fanout("alert", "slack", "alerts")

-- Events that are not bets: `tributary dlq list refused.db` lists them. Without this they would be redelivered
-- forever.
tb.create_dlq("refused", { path = "refused.db" })
tb.fanin("refused", "bets.errors", "liability.errors")
