-- Short forms of `window`.
local tb = ...

--- a window over the last `n` rows: inserts each event and emits the query's result at node `out`
function tb.sliding_window_count(name, out, query, table, n)
    return tb.window(name, out, { query = query, table = table, count = n })
end

--- windows of `size`, one after another: emits the query's result at node `out` when a window ends
function tb.tumbling_window(name, out, query, table, size, time_column)
    return tb.window(name, out, { query = query, table = table, size = size, slide = size, time = time_column })
end

--- windows of `size`, of which one begins every `slide`: emits like tumbling_window
function tb.hopping_window(name, out, query, table, size, slide, time_column)
    return tb.window(name, out, { query = query, table = table, size = size, slide = slide, time = time_column })
end

--- a session for each group: emits the result at node `out` when no row has come for `gap`
function tb.session_window(name, out, query, table, gap, time_column)
    return tb.window(name, out, { query = query, table = table, gap = gap, time = time_column })
end

-- Missing and additional arguments are errors, as in the native functions.
for called, count in pairs({
    sliding_window_count = 5,
    tumbling_window = 6,
    hopping_window = 7,
    session_window = 6,
}) do
    local make = tb[called]
    tb[called] = function(...)
        local given = select("#", ...)
        if given > count then
            error(("too many arguments to %s: %d at most, got %d"):format(called, count, given))
        end
        for at = 1, count do
            if (select(at, ...)) == nil then
                local got = at > given and "nothing" or "nil"
                error(("bad argument #%d to %s: a value expected, got %s"):format(at, called, got))
            end
        end
        return make(...)
    end
end
