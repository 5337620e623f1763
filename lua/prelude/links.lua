-- Helpers for linking nodes.
local tb = ...

--- links each node to the next one: chain("a", "b", "c") is link("a", "b") and link("b", "c")
function tb.chain(first, second, ...)
    tb.link(first, second)
    local from = second
    for i = 1, select("#", ...) do
        local to = (select(i, ...))
        tb.link(from, to)
        from = to
    end
    return true
end
