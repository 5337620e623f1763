-- Patterns that could take for ever go to a matcher that can be ended; all others stay with the
-- library. What a pattern may take grows with a power of the text: one for each repetition.
local scan = ...
local type, select, tostring, error = type, select, tostring, error
local find, match, gmatch, gsub = string.find, string.match, string.gmatch, string.gsub
local sub, concat, pack, unpack, max = string.sub, table.concat, table.pack, table.unpack, math.max

local MANY = 1e7
local repetitions, known = {}, 0

local function risky(s, p)
    if type(s) ~= "string" or type(p) ~= "string" then
        return false
    end
    local count = repetitions[p]
    if not count then
        local _
        _, count = gsub(p, "[*+?-]", "")
        known = known + 1
        if known > 1000 then
            repetitions, known = {}, 0
        end
        repetitions[p] = count
    end
    return count > 1 and (#s) ^ (count + 1) > MANY
end

-- Where to begin, from 0, or nothing where that is beyond the text.
local function start(s, init)
    init = init or 1
    if init < 0 then
        init = max(#s + init + 1, 1)
    elseif init == 0 then
        init = 1
    end
    if init <= #s + 1 then
        return init - 1
    end
end

local function anchored(p)
    if sub(p, 1, 1) == "^" then
        return sub(p, 2), true
    end
    return p, false
end

local function first(s, p, init)
    local from = start(s, init)
    if from then
        local pattern, anchor = anchored(p)
        return scan(s, pattern, from, -1, anchor)
    end
end

local function found(from, to, ...)
    if from then
        return from + 1, to, ...
    end
    return nil
end

local function captured(s, from, to, ...)
    if not from then
        return nil
    elseif select("#", ...) == 0 then
        return sub(s, from + 1, to)
    end
    return ...
end

function string.find(s, p, init, plain, ...)
    if plain or not risky(s, p) then
        return find(s, p, init, plain, ...)
    end
    return found(first(s, p, init))
end

function string.match(s, p, ...)
    if not risky(s, p) then
        return match(s, p, ...)
    end
    return captured(s, first(s, p, (...)))
end

function string.gmatch(s, p, ...)
    if not risky(s, p) then
        return gmatch(s, p, ...)
    end
    local from, last = start(s, (...)) or #s + 1, -1
    local function next_of(b, e, ...)
        if b then
            from, last = e, e
            return captured(s, b, e, ...)
        end
        from = #s + 1
    end
    return function()
        if from <= #s then
            return next_of(scan(s, p, from, last, false))
        end
    end
end

-- What stands in the place of a match.
local function replacement(repl, whole, captures)
    local kind, value = type(repl), nil
    local one = captures.n == 0 and whole or captures[1]
    if kind == "function" then
        if captures.n == 0 then
            value = repl(whole)
        else
            value = repl(unpack(captures, 1, captures.n))
        end
    elseif kind == "table" then
        value = repl[one]
    else
        value = gsub(tostring(repl), "%%(.?)", function(c)
            if c == "%" then
                return "%"
            elseif c == "0" then
                return whole
            elseif c == "1" and captures.n == 0 then
                return whole
            elseif find(c, "%d") then
                return captures[c + 0] or error("invalid capture index %" .. c .. " in replacement string", 0)
            end
            error("invalid use of '%' in replacement string", 0)
        end)
    end
    if not value then
        return whole
    elseif type(value) ~= "string" and type(value) ~= "number" then
        error("invalid replacement value (a " .. type(value) .. ")", 0)
    end
    return value
end

function string.gsub(s, p, repl, ...)
    local kind = type(repl)
    local usable = kind == "string" or kind == "number" or kind == "function" or kind == "table"
    if not usable or not risky(s, p) then
        return gsub(s, p, repl, ...)
    end
    local most = (...) or #s + 1
    local pattern, anchor = anchored(p)
    local from, last, count, parts = 0, -1, 0, {}
    while count < most and from <= #s do
        local got = pack(scan(s, pattern, from, last, anchor))
        local b, e = got[1], got[2]
        if not b then
            break
        end
        local captures = { n = got.n - 2, unpack(got, 3, got.n) }
        parts[#parts + 1] = sub(s, from + 1, b)
        parts[#parts + 1] = replacement(repl, sub(s, b + 1, e), captures)
        count = count + 1
        from, last = e, e
        if anchor then
            break
        end
    end
    parts[#parts + 1] = sub(s, from + 1)
    return concat(parts), count
end
