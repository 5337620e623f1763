-- The tables of main.rs, for running the scripts without it on a live stream of bets:
--
--   live_bets | tributary run tables.lua network.lua network2.lua --input streaming_ingest=- \
--       --output liability_printer=- --output stake_printer=-
local tb = require("tributary")

tb.create_table("example_bets", {
    key = "uuid",
    columns = {
        uuid = "text", create_time = "integer", customer_uuid = "text", stake = "real",
        currency = "text", exchange_rate = "real", odds = "real",
    },
    children = {
        selections = {
            table = "example_selections",
            parent = { bet_uuid = "uuid" }, -- child column = parent's column
            columns = { bet_uuid = "text", game_id = "integer", market = "text", odds = "real" },
        },
    },
})
