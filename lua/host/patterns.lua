-- Patterns: where the text is short the library's own matcher serves, which cannot be ended; a text
-- that is longer goes to the host's, whose time grows with the text and which can be.
local native = ...
local scan, scanner, replace = native.scan, native.scanner, native.replace
local type, select, tostring, tonumber, error = type, select, tostring, tonumber, error
local find, match, gmatch, gsub = string.find, string.match, string.gmatch, string.gsub
local sub, concat, max, min = string.sub, table.concat, math.max, math.min
local tointeger = math.tointeger

-- So many steps the library may take in one call.
local STEPS, LONGEST = 1e6, 1e5
-- The longest text with which the library does so, for each pattern that was seen.
local longest, known = {}, 0

-- What a pattern may take grows with a power of the text: one for each repetition, one for where it
-- begins. A back-reference and `%b` look at the text as a repetition does.
local function measure(p)
    local _, power = gsub(p, "[*+?%-]", "")
    local _, more = gsub(p, "%%[b0-9]", "")
    power = power + more + (sub(p, 1, 1) == "^" and 0 or 1)
    local steps = STEPS / (1 + #p / 8)
    for i = 2, power do
        steps = steps * i
    end
    local most = power == 0 and LONGEST or min(steps ^ (1 / power), LONGEST)
    known = known + 1
    if known > 1000 then
        longest, known = {}, 1
    end
    longest[p] = most
    return most
end

-- Whether the library may be asked.
local function short(s, p)
    return #p <= 256 and #s <= (longest[p] or measure(p))
end

local function text(value)
    if type(value) == "number" then
        return tostring(value)
    end
    return value
end

-- Where to begin, from 0, or nothing where that is beyond the text.
local function start(s, init)
    init = init == nil and 1 or tointeger(tonumber(init))
    if init < 0 then
        init = max(#s + init + 1, 1)
    elseif init == 0 then
        init = 1
    end
    if init <= #s + 1 then
        return init - 1
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

-- What the library does with arguments that it refuses.
local function usable(s, p)
    return type(s) == "string" and type(p) == "string"
end

local function find_long(s, p, init, as_text)
    s, p = text(s), text(p)
    if not usable(s, p) or short(s, p) then
        return find(s, p, init, as_text)
    end
    find("", "", init)
    local from = start(s, init)
    if from then
        return found(scan(s, p, from, as_text and true or false))
    end
    return nil
end

function string.find(s, p, ...)
    local most = longest[p]
    if most and type(s) == "string" and #s <= most then
        return find(s, p, ...)
    end
    return find_long(s, p, ...)
end

local function match_long(s, p, init)
    s, p = text(s), text(p)
    if not usable(s, p) or short(s, p) then
        return match(s, p, init)
    end
    find("", "", init)
    local from = start(s, init)
    if from then
        return captured(s, scan(s, p, from, nil))
    end
    return nil
end

function string.match(s, p, ...)
    local most = longest[p]
    if most and type(s) == "string" and #s <= most then
        return match(s, p, ...)
    end
    return match_long(s, p, ...)
end

function string.gmatch(s, p, ...)
    local s, p, init = text(s), text(p), ...
    if not usable(s, p) or short(s, p) then
        return gmatch(s, p, ...)
    end
    find("", "", init)
    local from, last = start(s, init) or #s + 1, nil
    local next_match = scanner(s, p, true)
    local function next_of(b, e, ...)
        if b then
            from, last = e, e
            return captured(s, b, e, ...)
        end
        from = #s + 1
    end
    return function()
        if from <= #s then
            return next_of(next_match(from, last))
        end
    end
end

-- What stands in the place of a match.
local function replacement(repl, whole, n, first, ...)
    local value
    if n == 0 then
        first = whole
    end
    if type(repl) == "function" then
        if n == 0 then
            value = repl(whole)
        else
            value = repl(first, ...)
        end
    else
        value = repl[first]
    end
    if not value then
        return whole
    elseif type(value) ~= "string" and type(value) ~= "number" then
        error("invalid replacement value (a " .. type(value) .. ")", 0)
    end
    return value
end

local function one(repl, s, b, e, ...)
    if b then
        return b, e, replacement(repl, sub(s, b + 1, e), select("#", ...), ...)
    end
end

-- With a function or a table.
local function gsub_each(s, p, repl, most)
    local next_match, anchored = scanner(s, p, false), sub(p, 1, 1) == "^"
    local from, last, count = 0, nil, 0
    local parts, n, chunks = {}, 0, {}
    while count < most and from <= #s do
        local b, e, value = one(repl, s, next_match(from, last))
        if not b then
            break
        end
        parts[n + 1], parts[n + 2] = sub(s, from + 1, b), value
        n, count = n + 2, count + 1
        from, last = e, e
        if n > 4000 then
            chunks[#chunks + 1] = concat(parts, "", 1, n)
            n = 0
        end
        if anchored then
            break
        end
    end
    parts[n + 1] = sub(s, from + 1)
    chunks[#chunks + 1] = concat(parts, "", 1, n + 1)
    return concat(chunks), count
end

local function gsub_long(s, p, repl, ...)
    s, p = text(s), text(p)
    local kind = type(repl)
    local as_text = kind == "string" or kind == "number"
    if not usable(s, p) or not (as_text or kind == "function" or kind == "table") then
        return gsub(s, p, repl, ...)
    end
    local most = ...
    if most ~= nil then
        gsub("", "", "", most)
        most = tointeger(tonumber(most))
    end
    if as_text then
        return replace(s, p, tostring(repl), most)
    end
    return gsub_each(s, p, repl, most or #s + 1)
end

-- Of this length what stands in the place of matches is short.
local SHORT = 64
function string.gsub(s, p, repl, ...)
    if type(s) == "string" and type(p) == "string" and short(s, p) then
        local kind = type(repl)
        if kind == "function" or kind == "string" and #repl <= SHORT or kind == "table" and #s <= SHORT then
            return gsub(s, p, repl, ...)
        end
    end
    return gsub_long(s, p, repl, ...)
end
