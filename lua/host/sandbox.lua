-- What the functions of the standard library must not do here. The host hands over `check`, which
-- ends the call when its time is over, `refuse`, which raises an error at the user's line, and the
-- limit of memory with its text.
local check, refuse, memory, shown = ...
local type, rawget, error, find, getmetatable = type, rawget, error, string.find, getmetatable

local load_any = load
-- Only text: what is not text can break the VM.
function load(chunk, name, _, ...)
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
    end
    return set(table, meta)
end

local rep = string.rep
-- So that the line is known: where memory ends, Lua knows it no more.
function string.rep(...)
    local s, n = ...
    if type(s) == "string" and type(n) == "number" and #s * n > memory and n < 2 ^ 31 then
        refuse("memory limit of " .. shown .. " exceeded")
    end
    return rep(...)
end

-- What these do for a table that is longer than it can be no limit of time reaches.
local LONGEST = 10000000
local function bounded(t, name)
    if type(t) == "table" and getmetatable(t) ~= nil and #t > LONGEST then
        refuse("table." .. name .. " of a table that says it has " .. #t .. " places")
    end
end

local insert, remove = table.insert, table.remove
function table.insert(...)
    bounded((...), "insert")
    return insert(...)
end
function table.remove(...)
    bounded((...), "remove")
    return remove(...)
end

local move = table.move
function table.move(from, first, last, ...)
    if type(first) == "number" and type(last) == "number" and last - first > LONGEST then
        refuse("table.move of more than " .. LONGEST .. " places")
    end
    return move(from, first, last, ...)
end

-- A coroutine that was ended because its time was over must not be taken for one that failed.
local create, resume, close, status = coroutine.create, coroutine.resume, coroutine.close, coroutine.status

local function checked(...)
    check()
    return ...
end

function coroutine.resume(co, ...)
    return checked(resume(co, ...))
end

local function unwrapped(ok, ...)
    check()
    if ok then
        return ...
    end
    error((...), 0)
end

function coroutine.wrap(f)
    local co = create(f)
    return function(...)
        return unwrapped(resume(co, ...))
    end
end

-- What a dead one has left open stays so: no limit of time reaches what would run.
function coroutine.close(co)
    if status(co) == "dead" then
        return true
    end
    return checked(close(co))
end
