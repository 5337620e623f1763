-- Helpers for data that becomes JSON.
local tb, native = ...

--- marks a table as a list and returns it, so that it is [] in JSON when it is empty, not {}
function tb.array(table)
    return native.mark_list(table == nil and {} or table)
end
