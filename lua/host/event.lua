-- Events as a node's function sees them, and what each kind of node makes of what it returns.
--
-- An event is a table whose first place is the host's handle; a field is made when it is first read and
-- stays in the table. So an event that no function has looked into is untouched, and goes on as it is.
-- The payload stays in the second place, never under its name: so each assignment to it is seen here,
-- and drops the data that was made before it. What is assigned last counts.
local native = ...
local rawget, rawset, rawequal = rawget, rawset, rawequal
local next, type, setmetatable, error = next, type, native.setmetatable, error
local fetch, refuse, emit = native.fetch, native.refuse, native.emit

local Event = native.event
-- The fields of an event, by the numbers that the host knows them under.
local names = { payload = 1, data = 2, meta = 3, time = 4 }

function Event.__index(event, name)
    local field = names[name]
    if not field then
        refuse(name)
    end
    local payload = rawget(event, 2)
    if field == 1 then
        if payload == nil then
            payload = fetch(event[1], field)
            rawset(event, 2, payload)
        end
        return payload
    end
    -- The data is made of the payload that was assigned, if any.
    local value = fetch(event[1], field, payload)
    rawset(event, name, value)
    return value
end

function Event.__newindex(event, name, value)
    if not names[name] then
        refuse(name)
    end
    if name == "payload" then
        rawset(event, 2, value)
        rawset(event, "data", nil)
    else
        rawset(event, name, value)
    end
end

local function view(handle)
    return setmetatable({ handle }, Event)
end

-- What becomes of an event, as the host reads it.
local DROP, PASS, MADE, CONSUMED, ENDED = 0, 1, 2, 3, 4

local kinds = {}

-- A function that only reads cannot have changed its event.
function kinds.map(f, reads)
    return function(handle)
        local event = view(handle)
        local result = f(event)
        if rawequal(result, event) and (reads or next(event, 1) == nil) then
            return PASS
        elseif result == nil then
            return DROP
        end
        return MADE, result
    end
end

function kinds.filter(f)
    return function(handle)
        local result = f(view(handle))
        if result == true then
            return PASS
        elseif not result then
            return DROP
        end
        return MADE, result
    end
end

function kinds.flat_map(f)
    return function(handle)
        local result = f(view(handle), emit)
        if result == nil then
            return CONSUMED
        end
        return MADE, result
    end
end

-- The routes are numbered in the order of their names.
function kinds.route(...)
    local routes = { ... }
    return function(handle)
        local event = view(handle)
        local open = 0
        for i = 1, #routes do
            local result = routes[i](event)
            if result == true then
                open = open | 1 << i - 1
            elseif result then
                return MADE, result
            end
        end
        return PASS, open
    end
end

function kinds.handler(f)
    return function(handle)
        f(view(handle))
        return CONSUMED
    end
end

-- A copy of a state, in which what was one table is one again.
local function copy(value, seen)
    if type(value) ~= "table" then
        return value
    end
    if seen[value] then
        return seen[value]
    end
    local new = {}
    seen[value] = new
    for k, v in next, value do
        new[copy(k, seen)] = copy(v, seen)
    end
    local meta = native.metatable(value)
    if meta and (rawget(meta, "__gc") ~= nil or rawget(meta, "__close") ~= nil) then
        error("a metatable with __gc or __close is not allowed in a state", 0)
    end
    return setmetatable(new, meta)
end

-- Calls of functions with a state for each key; without keys there is one, whose key is false.
function kinds.process(init)
    local states, before = {}, {}

    local function state_of(key, shown)
        local state = states[key]
        if state == nil then
            state = {}
            if init then
                state = init(shown)
                if state == nil then
                    state = {}
                end
            end
            states[key] = state
        end
        return state
    end

    -- What was there before a call, to be there again if it fails.
    local function keep(key)
        if key then
            before.key, before.state = nil, copy(states[key], {})
            before.key = key
        end
    end

    local function after(key, result)
        before.key, before.state = nil, nil
        if result == false then
            states[key] = nil
            return ENDED
        elseif result ~= nil then
            return MADE, result
        end
        return CONSUMED
    end

    local calls = {}

    function calls.process(f, handle, key, shown)
        keep(key)
        return after(key, f(view(handle), emit, state_of(key, shown)))
    end

    function calls.other(f, key, shown)
        keep(key)
        return after(key, f(emit, state_of(key, shown), shown))
    end

    function calls.restore()
        if before.key then
            states[before.key] = before.state
            before.key, before.state = nil, nil
        end
    end

    function calls.states()
        return states
    end

    return calls
end

function kinds.generator(f)
    local count = 0
    return function()
        count = count + 1
        local result = f(emit, count)
        if result == nil or result == true then
            return PASS
        elseif result == false then
            return DROP
        end
        return MADE, result
    end
end

return kinds
