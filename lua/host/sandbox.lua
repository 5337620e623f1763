-- What the functions of the standard library must not do here. Each function that could work long by
-- itself is charged for that work before it does it, or is written in Lua where a table decides how
-- much it is; `src/script/bounds.rs` lists them all.
--
-- The host hands over `charge`, which ends the call when its time is over, `look`, which looks at the
-- time at once, `grown`, which looks at the memory, `refuse`, which raises an error at the user's
-- line, and the limit of memory with its text.
local host = ...
local charge, look, refuse, grown = host.charge, host.look, host.refuse, host.grown
local memory, shown = host.memory, host.shown
local metatable, set_any = debug.getmetatable, debug.setmetatable
local type, rawget, rawequal, error, select = type, rawget, rawequal, error, select
local tostring, tonumber, tointeger, find, pairs = tostring, tonumber, math.tointeger, string.find, pairs

-- What is shorter is not charged: instructions are counted anyway.
local SHORT = 4096
-- The most places of a table that are gone through in one go.
local LONGEST = 10000000

-- A call that was ended because its time was over must not be taken for one that failed, nor a panic
-- of the host; and a failure for want of memory has cost a collection.
local pcall_any, xpcall_any = pcall, xpcall
local function after(ok, ...)
    if not ok then
        look((...))
    end
    return ok, ...
end

function pcall(...)
    return after(pcall_any(...))
end

-- The handler is called for what it raises itself, again and again.
function xpcall(f, handler, ...)
    if type(handler) ~= "function" then
        return after(xpcall_any(f, handler, ...))
    end
    return after(xpcall_any(f, function(raised)
        look(raised)
        return handler(raised)
    end, ...))
end

local load_any, concat_any = load, table.concat
local LONGEST_CHUNK = 262144
-- Only text: what is not text can break the VM.
function load(chunk, name, _, ...)
    if type(chunk) == "function" then
        local pieces, size, reader = {}, 0, chunk
        while true do
            local ok, piece = pcall(reader)
            if not ok then
                return nil, piece
            elseif piece == nil or piece == "" then
                break
            elseif type(piece) ~= "string" then
                return nil, "reader function must return a string"
            end
            size = size + #piece
            if size > LONGEST_CHUNK then
                break
            end
            pieces[#pieces + 1] = piece
        end
        chunk, name = concat_any(pieces), name or "=(load)"
        if size > LONGEST_CHUNK then
            refuse("load of more than " .. LONGEST_CHUNK .. " bytes")
        end
    end
    if type(chunk) == "string" then
        if #chunk > LONGEST_CHUNK then
            refuse("load of more than " .. LONGEST_CHUNK .. " bytes")
        end
        charge(#chunk * 16)
    end
    local f, message = load_any(chunk, name, "t", ...)
    if not f and type(message) == "string" and find(message, "attempt to load a binary chunk", 1, true) then
        return nil, "binary chunks are not allowed"
    end
    return f, message
end

local set = setmetatable
-- These run where no limit of time reaches.
function setmetatable(table, meta)
    if type(meta) == "table" then
        local gc, close = rawget(meta, "__gc"), rawget(meta, "__close")
        if gc ~= nil or close ~= nil then
            local name = gc ~= nil and "__gc" or "__close"
            refuse("a metatable with " .. name .. " is not allowed in a script")
        end
        -- The mark of a list is out of reach, but not in the way.
        local old = metatable(table)
        if old ~= nil and type(table) == "table" and rawget(old, "__list") == true then
            return set_any(table, meta)
        end
    end
    return set(table, meta)
end

-- When the collector runs is the host's.
local collect = collectgarbage
local fixed = {
    stop = 0, restart = 0, setpause = 0, setstepmul = 0, isrunning = true,
    incremental = "incremental", generational = "incremental",
}
function collectgarbage(option, ...)
    if option == nil or option == "collect" or option == "step" then
        charge(collect("count") * 1024 // 1 | 0)
        collect("collect")
        return option == "step" or 0
    elseif type(option) == "string" and fixed[option] ~= nil then
        return fixed[option]
    end
    return collect(option, ...)
end

-- After each round of the collector the host sees how far the memory has grown, also where one
-- instruction has doubled it.
local watched, watching = {}, false
function watched.__gc(watch)
    if watching then
        set(watch, watched)
        grown()
    end
end

local rep = string.rep
function string.rep(...)
    local text, times, between = ...
    if type(text) == "number" then
        text = tostring(text)
    end
    if type(times) ~= "number" then
        times = tonumber(times)
    end
    times = times and tointeger(times)
    if type(between) == "number" then
        between = tostring(between)
    end
    if type(text) == "string" and times and times > 0 and (between == nil or type(between) == "string") then
        local size = #text + (between and #between or 0)
        if size == 0 then
            if times > LONGEST then
                refuse("string.rep of more than " .. LONGEST .. " times")
            end
            return ""
        elseif size * times ~= size * 1.0 * times then
            return rep(...)
        end
        size = size * times
        if size > memory and size < 2 ^ 31 then
            -- So that the line is known: where memory ends, Lua knows it no more.
            refuse("memory limit of " .. shown .. " exceeded")
        elseif size > SHORT then
            charge(size)
        end
    end
    return rep(...)
end

-- What goes through the texts that it is given. A text may be given many times, so what they are
-- together may be more than the memory holds.
local function bytes(value)
    local kind = type(value)
    if kind == "string" then
        return #value
    elseif kind == "table" or kind == "userdata" then
        -- It stands in the text of a value that has none of its own.
        local meta = metatable(value)
        local name = meta and rawget(meta, "__name")
        return type(name) == "string" and #name or 0
    end
    return 0
end

-- So many values are looked at one by one; to look at more in that way takes the square of them.
local FEW = 16
local function all_bytes(n, ...)
    local size = 0
    if n > FEW then
        local values = { ... }
        for i = 1, n do
            size = size + bytes(values[i])
        end
        return size
    end
    for i = 1, n do
        size = size + bytes((select(i, ...)))
    end
    return size
end

-- The first value is a format, each byte of which is a step.
local function charge_texts(name, ...)
    local size = all_bytes(select("#", ...), ...)
    if size > SHORT then
        if size > memory then
            refuse("string." .. name .. " of texts of more than " .. shown)
        end
        charge(bytes((...)) * 12 + size * 4)
    end
end

local format, pack = string.format, string.pack
function string.format(...)
    charge_texts("format", ...)
    return format(...)
end

function string.pack(...)
    charge_texts("pack", ...)
    return pack(...)
end

-- What these read beside the format they read once.
local packsize = string.packsize
do
    local unpack = string.unpack
    function string.unpack(...)
        charge_texts("unpack", (...))
        return unpack(...)
    end
end

function string.packsize(...)
    charge_texts("packsize", (...))
    return packsize(...)
end

local tonumber_any = tonumber
function tonumber(...)
    local s, base = ...
    if base and type(s) == "string" and #s > SHORT then
        charge(#s * 8)
    end
    return tonumber_any(...)
end

local len, offset, codepoint = utf8.len, utf8.offset, utf8.codepoint
function utf8.len(...)
    local s = ...
    if type(s) == "string" and #s > SHORT then
        charge(#s * 4)
    end
    return len(...)
end

function utf8.codepoint(...)
    local s = ...
    if type(s) == "string" and #s > SHORT and select("#", ...) > 2 then
        charge(#s * 4)
    end
    return codepoint(...)
end

function utf8.offset(...)
    local s, n = ...
    if type(s) == "string" and #s > SHORT then
        n = tointeger(tonumber_any(n) or 0) or 0
        if n > SHORT or n < -SHORT or n == 0 then
            charge(#s * 4)
        end
    end
    return offset(...)
end

-- Tables. What a metatable decides is done here, where each step is counted.
local function is_plain(t)
    if type(t) ~= "table" then
        return true
    end
    local meta = metatable(t)
    return meta == nil
        or rawget(meta, "__index") == nil and rawget(meta, "__newindex") == nil and rawget(meta, "__len") == nil
end

-- The length of a table with a metatable.
local function length(t, name)
    local n = #t
    if tointeger(n) == nil then
        refuse("object length is not an integer")
    elseif n > LONGEST then
        refuse("table." .. name .. " of a table whose length is given as " .. n)
    end
    return n
end

local function argument(at, name, value, missing)
    if value == nil and missing then
        return missing
    end
    local number = tonumber_any(value)
    local whole = number and tointeger(number)
    if not whole then
        local got = number and "number has no integer representation" or "number expected, got " .. type(value)
        refuse("bad argument #" .. at .. " to '" .. name .. "' (" .. got .. ")")
    end
    return whole
end

local insert, remove = table.insert, table.remove
function table.insert(...)
    local t, at, value = ...
    local count = select("#", ...) - 1
    if is_plain(t) then
        if count == 2 and type(t) == "table" and #t > SHORT then
            charge(#t * 16)
        end
        return insert(...)
    end
    local n = length(t, "insert") + 1
    if count == 1 then
        t[n] = at
        return
    elseif count ~= 2 then
        refuse("wrong number of arguments to 'insert'")
    end
    at = argument(2, "insert", at)
    if at < 1 or at > n then
        refuse("bad argument #2 to 'insert' (position out of bounds)")
    end
    for i = n, at + 1, -1 do
        t[i] = t[i - 1]
    end
    t[at] = value
end

function table.remove(...)
    local t, at, value = ...
    local count = select("#", ...) - 1
    if is_plain(t) then
        if count > 0 and type(t) == "table" and #t > SHORT then
            charge(#t * 16)
        end
        return remove(...)
    end
    local n = length(t, "remove")
    at = argument(2, "remove", at, n)
    if count > 0 and n + 1 ~= at and (at < 1 or at > n + 1) then
        refuse("bad argument #2 to 'remove' (position out of bounds)")
    end
    value = t[at]
    while at < n do
        t[at] = t[at + 1]
        at = at + 1
    end
    t[at] = nil
    return value
end

local move = table.move
function table.move(...)
    local from, first, last, at, to = ...
    if type(from) ~= "table" or (to ~= nil and type(to) ~= "table") then
        return move(...)
    end
    first, last, at = argument(2, "move", first), argument(3, "move", last), argument(4, "move", at)
    if last >= first and (last - first < 0 or last - first > LONGEST) then
        refuse("table.move of more than " .. LONGEST .. " places")
    end
    local n = last - first + 1
    if is_plain(from) and is_plain(to) then
        if n > SHORT then
            charge(n * 32)
        end
        return move(from, first, last, at, to)
    end
    to = to == nil and from or to
    if n > 0 and (at > last or at <= first or not rawequal(from, to)) then
        for i = 0, n - 1 do
            to[at + i] = from[first + i]
        end
    else
        for i = n - 1, 0, -1 do
            to[at + i] = from[first + i]
        end
    end
    return to
end

function table.concat(...)
    local t, sep, i, j = ...
    local from, to = tonumber_any(i or 1), tonumber_any(j)
    from, to = from and tointeger(from), to and tointeger(to)
    if type(t) ~= "table" or not from or (j ~= nil and not to) then
        return concat_any(...)
    elseif is_plain(t) then
        to = to or #t
        if to - from > SHORT then
            charge((to - from) * 16)
        end
        return concat_any(...)
    end
    to = to or length(t, "concat")
    if to >= from and (to - from < 0 or to - from > LONGEST) then
        refuse("table.concat of more than " .. LONGEST .. " places")
    end
    local values = {}
    for k = from, to do
        values[k - from + 1] = t[k]
    end
    return concat_any(values, sep, 1, to - from + 1)
end

local unpack = table.unpack
function table.unpack(...)
    local t, i, j = ...
    local from, to = tonumber_any(i or 1), tonumber_any(j)
    from, to = from and tointeger(from), to and tointeger(to)
    if not from or (j ~= nil and not to) then
        return unpack(...)
    elseif is_plain(t) then
        to = to or (type(t) == "table" or type(t) == "string") and #t or 0
        if to - from > SHORT then
            charge((to - from) * 16)
        end
        return unpack(...)
    end
    to = to or length(t, "unpack")
    if to < from then
        return
    elseif to - from < 0 or to - from >= 1000000 then
        refuse("too many results to unpack")
    end
    local values = {}
    for k = from, to do
        values[k - from + 1] = t[k]
    end
    return unpack(values, 1, to - from + 1)
end

-- Whether comparing these takes no time to speak of.
local function are_small(t, n)
    for i = 1, n do
        local value = rawget(t, i)
        local kind = type(value)
        if kind ~= "number" and (kind ~= "string" or #value > 256) then
            return false
        end
    end
    return true
end

local function less(a, b)
    return a < b
end

local sort = table.sort
function table.sort(...)
    local t, compare = ...
    if type(t) ~= "table" or (compare ~= nil and type(compare) ~= "function") then
        return sort(...)
    end
    local plain = is_plain(t)
    local n = plain and #t or length(t, "sort")
    if n > SHORT then
        charge(n * 256)
    end
    if plain and not compare and are_small(t, n) then
        return sort(t)
    end
    -- One of ours, where instructions are counted, also around a function that is not Lua's.
    local before = compare and function(a, b)
        return compare(a, b)
    end or less
    if plain then
        return sort(t, before)
    end
    local values = {}
    for i = 1, n do
        values[i] = t[i]
    end
    sort(values, before)
    for i = 1, n do
        t[i] = values[i]
    end
end

-- A coroutine counts its instructions by itself, so each time that one runs is charged.
local create, resume, close, status = coroutine.create, coroutine.resume, coroutine.close, coroutine.status
local RUN = 16384

function coroutine.resume(...)
    charge(RUN)
    return after(resume(...))
end

local function unwrapped(ok, ...)
    if ok then
        return ...
    end
    look((...))
    error((...), 0)
end

function coroutine.wrap(f)
    local co = create(f)
    return function(...)
        charge(RUN)
        return unwrapped(resume(co, ...))
    end
end

-- What a dead one has left open stays so: no limit of time reaches what would run.
function coroutine.close(co)
    if status(co) == "dead" then
        return true
    end
    charge(RUN)
    return after(close(co))
end

-- When a VM ends the host must not be called any more.
return function(watches)
    watching = watches
    if watches then
        set({}, watched)
    end
end
