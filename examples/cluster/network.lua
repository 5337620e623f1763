-- What each of the processes runs: bets from the one consumer that they share, kept in the one
-- database that they share.
local tb = require("tributary")

-- A bet is acked when all that was made of it was delivered. What a process had in hand when it was
-- killed goes to another one after `ack_wait`.
tb.create_source("bets", "${env:BUS}/bets.>", {
    stream = "BETS", durable = "liability", in_flight = 64, ack_wait = "2s",
})

tb.create_table("cluster_bets", {
    key = "uuid",
    columns = {
        uuid = "text", create_time = "integer", customer_uuid = "text", stake = "real", odds = "real",
    },
})
tb.create_table("cluster_alerts", {
    key = "customer_uuid",
    columns = { customer_uuid = "text", liability = "real" },
})

-- The row is committed first and the question comes after. A window that does both in one
-- transaction would not see what another process is about to commit: of two bets that together are
-- too much, neither might raise the alert.
tb.create_window("stored", "cluster_bets")
tb.query_window("liability", [[
select
    b.customer_uuid,
    round(sum(b.stake * (b.odds - 1)), 2) as liability
from
    cluster_bets b
where
    b.customer_uuid = :customer_uuid
    and from_unixtime(b.create_time) >= now() - interval 1 hour
group by
    b.customer_uuid
having
    liability > 130
]])

-- Every bet beyond the limit raises the alert anew, in whichever process; the key makes them one
-- row, and the first one stays.
tb.create_sql_sink("alerts", { table = "cluster_alerts", mode = "insert" })

tb.chain("bets", "stored", "liability", "alerts")
