-- Short forms of `window`.
local tb = ...

-- The other tables that the query reads.
local function reads(options)
    if type(options) ~= "table" and options ~= nil then
        error("bad options: a table such as { reads = { \"rates\" } } expected, got " .. type(options))
    end
    for name in pairs(options or {}) do
        if name ~= "reads" then
            error(("there is no option %s: the only one is reads"):format(tostring(name)))
        end
    end
    return options and options.reads
end

--- a window over the last `n` rows: inserts each event and emits the query's result at node `out`
function tb.sliding_window_count(name, out, query, table, n, options)
    local window = { query = query, table = table, count = n }
    window.reads = reads(options)
    return tb.window(name, out, window)
end

--- windows of `size`, one after another: emits the query's result at node `out` when a window ends
function tb.tumbling_window(name, out, query, table, size, time_column, options)
    local window = { query = query, table = table, size = size, slide = size, time = time_column }
    window.reads = reads(options)
    return tb.window(name, out, window)
end

--- windows of `size`, of which one begins every `slide`: emits like tumbling_window
function tb.hopping_window(name, out, query, table, size, slide, time_column, options)
    local window = { query = query, table = table, size = size, slide = slide, time = time_column }
    window.reads = reads(options)
    return tb.window(name, out, window)
end

--- a session for each group: emits the result at node `out` when no row has come for `gap`
function tb.session_window(name, out, query, table, gap, time_column, options)
    local window = { query = query, table = table, gap = gap, time = time_column }
    window.reads = reads(options)
    return tb.window(name, out, window)
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
        if given > count + 1 then
            error(("too many arguments to %s: %d at most, got %d"):format(called, count + 1, given))
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
