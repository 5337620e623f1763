//! Patterns: what could take for ever is ended, and says the same as the library otherwise.

use std::time::Duration;
use tributary::script::ScriptLimits;
use tributary::{Database, Network, Result, Runtime};

#[test]
fn a_pattern_that_would_take_for_ever_is_ended() -> Result<()> {
    // Row 20.
    let limits = ScriptLimits::new().load_time(Duration::from_millis(200));
    let runtime =
        Runtime::with_limits(&Network::new(), &Database::open("sqlite::memory:")?, limits)?;
    for call in [
        "string.find(('a'):rep(1e5), '(.-)(.-)(.-)%3b$')",
        "('a'):rep(1e5):match('(.-)(.-)(.-)%3b$')",
        "('a'):rep(1e5):gsub('(.-)(.-)(.-)%3b$', '')",
        "for _ in ('a'):rep(1e5):gmatch('(.-)(.-)(.-)%3b$') do end",
        "pcall(string.find, ('a'):rep(1e5), '(.-)(.-)(.-)%3b$')",
    ] {
        let error = runtime
            .run_text("s.lua", format!("\n{call}"))
            .expect_err(call);
        assert_eq!(
            error.to_string(),
            "s.lua:2: load time budget 200ms exceeded",
            "of {call}"
        );
    }
    Ok(())
}

#[test]
fn the_other_matcher_finds_what_the_library_finds() -> Result<()> {
    // A text alone, where the library matches, and with a long tail, where the other one does.
    let script = r##"
local tail = "\n" .. ("."):rep(5000)
local cases = {
    { "key = value", "(%w+)%s*=%s*(%w+)" }, { "f(a(b)c)d", "%b()(%a*)(%a-)" },
    { "2026-11-23T20:10", "(%d+)-(%d+)-(%d+)T(%d*):?(%d*)" }, { "tab\tnew end", "%s+%w+%c*" },
    { "THE (quick) fox", "%f[%a]%a+%f[%A]()%s*()" }, { "[[x]] [a-z]", "[]%[]+%l-[%]-]+" },
    { "abcabc", "(a)(b*)(c-)%2%3c*" }, { "hello", "l*l+" }, { "x^y$z", "[^%^]+%^y%$%a*" },
    { "a,b,,c", "([^,\n]*),?([^,\n]*)" }, { "aXbXc", "%u?%l?%u*" }, { "0x1Fg", "0x%x+%X?" },
    { "\xc3\xa9!", "[\xc3][\x80-\xbf]*!*" }, { "a  b", "^(%a*)%s*(%a-)" }, { "a-b", "[%a-]+-*b?" },
}
local function all(...) return table.concat({ select("#", ...), ... }, "|") end
for _, case in ipairs(cases) do
    local s, p = case[1], case[2]
    assert(all(s:find(p)) == all((s .. tail):find(p)), "find " .. p)
    assert(all(s:match(p, 2)) == all((s .. tail):match(p, 2)), "match " .. p)
    local one = s:gsub(p, "<%0|%1>", 1)
    assert((s .. tail):gsub(p, "<%0|%1>", 1) == one .. tail, "gsub " .. p)
    local here, there = s:gmatch(p), (s .. tail):gmatch(p)
    assert(all(here()) == all(there()), "gmatch " .. p)
end
local long = ("ab "):rep(3000)
assert(all(long:find("(a)(b)%s*a*")) == "4|1|4|a|b")
assert(long:find("z+q+") == nil and long:find("a*b*$", 99999) == nil)
assert(all(long:find("a*b*", -2)) == "2|8999|8999")
assert(select(2, long:gsub("a+b+", "%0!")) == 3000)
assert(long:gsub("(a+)(b+)", "%2%1"):sub(1, 6) == "ba ba ")
assert(long:gsub("(a+)(b+)", { a = "x" }, 2):sub(1, 8) == "x x ab a")
assert(long:gsub("a+b+", function(w) return w:upper() end, 1):sub(1, 5) == "AB ab")
assert(select(2, long:gsub("x*y*", "-")) == #long + 1)
assert(select(2, long:gsub("^a*b*", "-")) == 1)
local count = 0
for w in long:gmatch("%a+%a+") do count = count + 1 end
assert(count == 3000)
for _, bad in ipairs({ "a+b+[", "a+b+%", "a+b+)", "a+b+ %b", "a+b+ %f", "a+(b*)%2" }) do
    assert(not pcall(string.find, long, bad), bad)
end
"##;
    // What it finds is asked here, not how soon.
    let limits = ScriptLimits::new().load_time(Duration::from_secs(120));
    Runtime::with_limits(&Network::new(), &Database::open("sqlite::memory:")?, limits)?
        .run_text("s.lua", script)
}

/// Texts of 50 KB, and patterns for which the time of a backtracking matcher grows with their
/// square or more.
const LONG: [(&str, &str); 20] = [
    ("(' '):rep(N) .. 'x'", "'%s+$'"),
    ("(' '):rep(N) .. 'x'", "'%s*$'"),
    ("(' '):rep(N) .. 'x'", "'(%s-)$'"),
    ("('  x'):rep(N // 3) .. '.'", "'^%s*(.-)%s*$'"),
    ("'x' .. (' '):rep(N) .. 'x'", "'^%s*(.-)%s*$'"),
    ("('a'):rep(N)", "'a-b'"),
    ("('a'):rep(N)", "'a*b'"),
    ("('a'):rep(N)", "'.-b'"),
    ("('a'):rep(N)", "'(a+)a*b'"),
    ("('a'):rep(N)", "'a*a*a*a*a*b'"),
    ("('a'):rep(N)", "'.-.-.-.-b$'"),
    ("('a'):rep(N)", "'a?a?a?a?a?b'"),
    ("('a'):rep(N)", "'[^,]*,'"),
    ("('('):rep(N)", "'%b()'"),
    ("('('):rep(N // 2) .. (')'):rep(N // 2)", "'%b()x'"),
    ("('\"'):rep(N - 1)", "'%b\"\"x'"),
    ("('a'):rep(N)", "'%f[b]b+'"),
    ("('ab'):rep(N // 2)", "'(ab?a-)*c'"),
    ("('a'):rep(N)", "('a'):rep(N // 2) .. 'b'"),
    ("('a'):rep(N)", "('a'):rep(8) .. '.b'"),
];

#[test]
fn matching_takes_time_that_grows_with_the_text_and_no_faster() -> Result<()> {
    let limits = ScriptLimits::new().load_time(Duration::from_secs(30));
    let runtime =
        Runtime::with_limits(&Network::new(), &Database::open("sqlite::memory:")?, limits)?;
    for (text, pattern) in LONG {
        let script = format!(
            "local N = 50000 local s, p = {text}, {pattern}\n\
             s:find(p) s:match(p)\n\
             for _ in s:gmatch(p) do end\n\
             s:gsub(p, '') s:gsub(p, '%0.', 3) s:gsub(p, {{ a = '' }}) s:gsub(p, function() end)"
        );
        let begun = std::time::Instant::now();
        runtime.run_text("s.lua", script)?;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{pattern} took {took:?}");
    }
    Ok(())
}
