-- Sessions of customers: each ends after ten seconds without a bet, and emits the sum of the stakes.
local tb = require("tributary")

local currencies = { EUR = 1.0, USD = 0.9 }

tb.create_map("euros", function(e)
    local rate = currencies[e.data.currency] or error("no rate for " .. tostring(e.data.currency))
    e.data.stake = e.data.stake * rate
    return e
end)

tb.create_process("sessions", {
    key = "customer",
    init = function() return { bets = 0, staked = 0.0 } end,
    process = function(e, emit, state)
        state.bets = state.bets + 1
        state.staked = state.staked + e.data.stake
        state.last = tb.now()
    end,
    every = { ["1s"] = function(emit, state, customer)
        if tb.now() - state.last >= 10 then
            emit({ customer = customer, bets = state.bets, staked = state.staked })
            return false
        end
    end },
    finish = function(emit, state, customer)
        emit({ customer = customer, bets = state.bets, staked = state.staked })
    end,
})

tb.create_route("by_size", { large = function(e) return e.data.staked >= 1000 end })

tb.chain("in", "euros", "sessions", "by_size")
tb.link("by_size.large", "out")
tb.create_discarder("small")
tb.link("by_size.unmatched", "small")
