-- The script of each process: bets from a shared consumer, stored in a shared database. To run it without
-- the example:
--
--   NATS=127.0.0.1:4222 tributary run network.lua --db mysql://USER:PASSWORD@HOST/DB
--
local tb = require("tributary")

-- A bet is acked when everything made of it was delivered. The unacked bets of a killed process are delivered
-- to another one after `ack_wait`.
tb.create_source("bets", "nats://${env:NATS}/bets.>", {
    stream = "BETS", durable = "liability", in_flight = 64, ack_wait = "2s",
})

-- A bet that is delivered again is not stored again, because its key exists.
tb.create_table("cluster_bets", {
    key = "uuid",
    columns = { uuid = "text", create_time = "integer", customer_uuid = "text", stake = "real", odds = "real" },
})
tb.create_window("stored", "cluster_bets")

-- The query runs after the bet is committed. A window that did both in one transaction would not see what
-- another process is about to commit: of two bets that exceed the limit together, neither might raise the
-- alert.
tb.query_window("liability", [[
select b.customer_uuid, round(sum(b.stake * (b.odds - 1)), 2) as liability
from cluster_bets b
where b.customer_uuid = :customer_uuid and from_unixtime(b.create_time) >= now() - interval 1 hour
group by b.customer_uuid
having liability > 130
]])

-- Each bet beyond the limit raises the alert again, in any process. The key makes them one row, and the first
-- one is kept.
tb.create_table("cluster_alerts", {
    key = "customer_uuid",
    columns = { customer_uuid = "text", liability = "real" },
})
tb.create_sql_sink("alerts", { table = "cluster_alerts", mode = "insert" })

tb.chain("bets", "stored", "liability", "alerts")
