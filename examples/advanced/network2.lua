local tb = require('tributary')

-- the latest stake of 100 or more on game 654321
local query = [[
select
	round(b.stake * b.exchange_rate, 2) as stake,
	b.customer_uuid,
	s.game_id
from
	example_selections s
join example_bets b on
	b.uuid = s.bet_uuid
where
	s.game_id = 654321
	and b.stake * b.exchange_rate >= 100
order by
	b.create_time desc
limit 1
]]
-- a bet is passed on after its row is committed, so that the query finds it; the other window inserts
-- the same rows, and a second row with the same key is not inserted again
tb.create_window("bets_stored", "example_bets")
tb.query_window("latest_stake", query)
tb.create_filter("dedupe_stake", "10s")

tb.chain("streaming_ingest", "bets_stored", "latest_stake", "dedupe_stake", "stake_printer")
