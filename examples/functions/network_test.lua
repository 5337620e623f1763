local tb = require("tributary")

local function bet(customer, stake, currency)
    return { customer = customer, stake = stake, currency = currency or "EUR" }
end

tb.test("a session ends after ten seconds without a bet", function(t)
    t:load("network.lua")
    t:inject("in", bet("ann", 600), bet("bob", 1), bet("ann", 500, "USD"))
    t:advance("9s")
    t:expect_none("by_size.large")
    t:advance("3s")
    t:expect("out", { { customer = "ann", bets = 2, staked = 1050 } })
    t:expect("small", { { customer = "bob", bets = 1, staked = 1 } })
end)

tb.test("an open session is emitted at the end", function(t)
    t:load("network.lua")
    t:inject("in", bet("ann", 2000))
    t:finish()
    t:expect("out", { { customer = "ann", bets = 1, staked = 2000 } })
end)

tb.test("a currency without a rate rejects its bet alone", function(t)
    t:load("network.lua")
    t:inject("in", bet("ann", 1, "XYZ"), bet("bob", 1))
    t:finish()
    t:expect("small", { { customer = "bob", bets = 1, staked = 1 } })
    t:expect("euros.errors", { bet("ann", 1, "XYZ") })
end)
