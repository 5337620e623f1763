//! Scripts that try to get away: every function of the standard library with huge, empty, negative,
//! recursive arguments and proxies, under `pcall`, coroutines, handlers and metamethods. None takes
//! more than twice its time nor one and a half times its memory.
//!
//! `HOSTILE_SCRIPTS` is the number of scripts, `HOSTILE_SEED` the seed of the first one; by default
//! 20,000 are run, from seed 1 on. A failure shows the seed and the script, `HOSTILE_SHOW=1` each script.
//! The memory of the whole process is measured, so this is a binary of its own with one test. It runs
//! itself once more, with standard output at `/dev/null`, since the scripts print.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tributary::script::ScriptLimits;
use tributary::{Database, Network, Runtime};

type Tested = Result<(), Box<dyn Error>>;

const LIMITS: ScriptLimits = ScriptLimits::new()
    .memory(16 << 20)
    .call_time(Duration::from_millis(30))
    .load_time(Duration::from_millis(30))
    .allow_os(false);

/// So many scripts are run unless another number is given.
const DEFAULT: u64 = 20_000;

/// So often a script that took too much is tried again.
const AGAIN: usize = 2;

/// So many failures are shown.
const SHOWN: usize = 20;

/// So many scripts share a VM.
const SHARED: u64 = 100;

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % most as u64).unwrap_or(0)
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// Set in the process whose standard output goes nowhere.
const QUIET: &str = "HOSTILE_QUIET";

/// Modules beside the scripts, which is where `require` looks.
fn modules() -> [(&'static str, String); 12] {
    let many = |text: &str, count: usize| text.repeat(count);
    [
        ("huge", many("x = 1\n", 40_000)),
        ("labels", many("::a:: ", 1_000) + "return 1"),
        ("broken", many("(", 100_000)),
        ("data", format!("return {{ {} }}", many("'text', {}, ", 15_000))),
        ("large", "return ('x'):rep(1 << 40)".to_owned()),
        ("full", "local t = {} while true do t[#t + 1] = {} end".to_owned()),
        ("loop", "while true do end".to_owned()),
        ("pcalls", "while true do pcall(require, 'loop') end".to_owned()),
        ("itself", "return require('itself')".to_owned()),
        ("ring_a", "return require('ring_b')".to_owned()),
        ("ring_b", "while true do pcall(require, 'ring_a') end".to_owned()),
        (
            "again",
            "local co = coroutine.wrap(function() return require('pcalls') end) return pcall(co), co()".to_owned(),
        ),
    ]
}

/// A directory that is gone at the end, for the scripts.
struct Scripts(PathBuf);

impl Scripts {
    fn new() -> std::io::Result<Self> {
        let directory = std::env::temp_dir().join(format!("hostile-{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        for (name, text) in modules() {
            fs::write(directory.join(format!("{name}.lua")), text)?;
        }
        Ok(Scripts(directory))
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What scripts begin with: values that are worse than they look.
const BEGIN: &str = r#"
local function endless() while true do end end
local function same(...) return ... end
local function raise() error("x") end
local function again(...) return pcall(again, ...) end
local function big() return ("a"):rep(1000000) end
local list, texts, emptied = {}, {}, {}
for i = 1, 5000 do list[i] = -i emptied[i] = i end
for i = 1, 5000 do emptied[i] = nil end
local text = ("a"):rep(100000)
for i = 1, 300 do texts[i] = text end
local proxy = setmetatable({}, { __len = function() return 1 << 62 end, __index = function() return 1 end })
local sham = setmetatable({}, { __len = function() return math.maxinteger end, __index = type, __newindex = rawequal })
local below = setmetatable({}, { __len = function() return -5 end, __index = tostring })
local ring = {}
ring[1], ring.x = ring, ring
setmetatable(ring, { __index = function(t, k) return t end, __call = function(f, ...) return f(...) end })
local wild = setmetatable({}, { __index = endless, __newindex = endless, __len = endless, __call = endless,
    __concat = big, __eq = endless, __lt = endless, __le = endless, __tostring = big, __name = "x", __add = endless,
    __pairs = function() return next, list end, __metatable = list })
local late = setmetatable({}, {})
getmetatable(late).__close, getmetatable(late).__gc = endless, endless
local loud = setmetatable({}, { __tostring = endless, __name = text })
local louder = setmetatable({}, { __tostring = big, __index = big, __unm = endless, __len = big })
local closing = coroutine.wrap(function() local x <close> = late coroutine.yield() endless() end)
local co = coroutine.create(function(...) while true do coroutine.yield(...) end end)
local stuck = coroutine.create(function() pcall(endless) local x <close> = late endless() end)
"#;

const VALUES: &[&str] = &[
    "nil",
    "true",
    "0",
    "1",
    "-1",
    "3",
    "1 << 62",
    "math.maxinteger",
    "math.mininteger",
    "1e308",
    "0/0",
    "2^31",
    "1000000",
    "-1e15",
    "'10'",
    "''",
    "'a'",
    "' '",
    "'%s+$'",
    "'(.-)(.-)(.-)%1b'",
    "'%b()'",
    "'.-.-b'",
    "'collect'",
    "'step'",
    "'z'",
    "'c1000000000'",
    "'%99999d'",
    "'%99s'",
    "'0x' .. ('f'):rep(100000)",
    "('9'):rep(300) .. '.5'",
    "'.net_missing'",
    "'%99.99f'",
    "'%q'",
    "'*a'",
    "'return 1'",
    "text",
    "big()",
    "(' '):rep(500000) .. 'x'",
    "('1'):rep(1000000)",
    "('('):rep(100000)",
    "('\\x80'):rep(1000000)",
    "('%s'):rep(1000)",
    "('z'):rep(10000)",
    "('x=1 '):rep(10000)",
    "('::a:: '):rep(1000)",
    "{}",
    "{ text, text }",
    "list",
    "texts",
    "emptied",
    "proxy",
    "sham",
    "below",
    "ring",
    "wild",
    "late",
    "loud",
    "louder",
    "closing",
    "endless",
    "same",
    "raise",
    "again",
    "big",
    "co",
    "stuck",
    "print",
    "'huge'",
    "'labels'",
    "'broken'",
    "'data'",
    "'large'",
    "'full'",
    "'loop'",
    "'pcalls'",
    "'itself'",
    "'ring_a'",
    "'again'",
    "getmetatable(late)",
    "getmetatable('')",
    "(function() error(loud) end)",
    "(function() error(loud, 0) end)",
    "next",
    "_G",
    "string",
    "coroutine.create(endless)",
    "coroutine.wrap(same)",
    "function(a, b) return a < b end",
    "table.unpack(list)",
    "pcall",
    "coroutine.yield",
    "collectgarbage",
    "string.rep",
    "table.concat",
    "select('#')",
];

const FUNCTIONS: &[&str] = &[
    "assert",
    "collectgarbage",
    "error",
    "getmetatable",
    "ipairs",
    "load",
    "next",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawlen",
    "rawset",
    "select",
    "setmetatable",
    "tonumber",
    "tostring",
    "type",
    "warn",
    "xpcall",
    "coroutine.close",
    "coroutine.create",
    "coroutine.isyieldable",
    "coroutine.resume",
    "coroutine.running",
    "coroutine.status",
    "coroutine.wrap",
    "coroutine.yield",
    "math.abs",
    "math.max",
    "math.min",
    "math.random",
    "math.tointeger",
    "math.fmod",
    "math.ult",
    "math.floor",
    "string.byte",
    "string.char",
    "string.dump",
    "string.find",
    "string.format",
    "string.gmatch",
    "string.gsub",
    "string.len",
    "string.lower",
    "string.match",
    "string.pack",
    "string.packsize",
    "string.rep",
    "string.reverse",
    "string.sub",
    "string.unpack",
    "string.upper",
    "table.concat",
    "table.insert",
    "table.move",
    "table.pack",
    "table.remove",
    "table.sort",
    "table.unpack",
    "utf8.char",
    "utf8.codepoint",
    "utf8.codes",
    "utf8.len",
    "utf8.offset",
    "print",
    "(function(...) for i = 1, 1e6 do print(...) end end)",
    "require('tributary').log",
    "require('tributary').list",
    "require",
    "(function(...) while true do pcall(require, ...) end end)",
    "os.execute",
    "io.open",
    "debug.sethook",
    "dofile",
];

/// `F` is what is to be done, as a function.
const WAYS: &[&str] = &[
    "for i = 1, 1e9 do F() end",
    "while true do pcall(F) end",
    "while true do pcall(F) end",
    "coroutine.wrap(F)()",
    "while true do coroutine.resume(coroutine.create(F)) end",
    "local function deep(n) if n == 0 then return F() end return coroutine.wrap(deep)(n - 1) end while true do pcall(deep, 20) end",
    "xpcall(F, F)",
    "error(loud)",
    "pcall(error, loud) error(setmetatable({}, { __tostring = F }))",
    "local t = setmetatable({}, {}) getmetatable(t).__gc = F t = nil collectgarbage() F()",
    "local t = setmetatable({}, {}) getmetatable(t).__close = F do local x <close> = t end",
    "local co = coroutine.create(function() local x <close> = late F() coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
    "local s = '10' for i = 1, 1e9 do s = (s + '1') * '0x10' // '3' .. '' F() end",
    "while true do xpcall(raise, F) end",
    "xpcall(F, function() while true do pcall(F) end end)",
    "local t = setmetatable({}, { __index = F, __len = F, __concat = F, __call = F, __lt = F }) pcall(same, t.x) pcall(same, #t) return t .. t",
    "table.sort({ 3, 2, 1, 5, 4 }, F)",
    "('abc'):rep(1000):gsub('.', F)",
    "load(F)",
    "while true do load(F) end",
    "for _ in F do end",
    "local x <close> = setmetatable({}, getmetatable(late)) F()",
    "while true do local ok, v = pcall(F) if type(v) == 'string' then for i = 1, 1e4 do local _ = v .. 'x' < v .. 'y' end end end",
    "local s = 'x' while true do s = s .. s pcall(F) if #s > 3e6 then while true do local _ = s .. 'a' == s .. 'b' end end end",
    "pcall(pcall, pcall, F) pcall(string.rep, F()) pcall(table.concat, { F() })",
    "local t = {} while true do t[#t + 1] = { pcall(F) } end",
];

fn script(seed: u64) -> String {
    let mut random = Random(seed);
    let count = random.below(6);
    let values: Vec<&str> = (0..count).map(|_| random.of(VALUES)).collect();
    let function = random.of(FUNCTIONS);
    // Most just call it: what loops takes all the time that there is.
    let way = match random.below(5) {
        0 | 1 => random.of(WAYS),
        _ => "F()",
    };
    format!(
        "{BEGIN}local function F() return {function}({}) end\n{way}\n",
        values.join(", ")
    )
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// How long this thread has had a processor.
fn busy() -> Result<Duration, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split(' ').next().ok_or("no time")?.parse()?;
    Ok(Duration::from_nanos(nanos))
}

/// A size of the process, in bytes.
fn size(name: &str) -> Result<usize, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.ok_or("no size")?.parse::<usize>()? << 10)
}

/// What a script has taken.
struct Taken {
    time: Duration,
    memory: usize,
    ran: String,
}

impl Taken {
    /// Runs a script and measures it.
    fn by(runtime: &Runtime, scripts: &Scripts, seed: u64) -> Result<Self, Box<dyn Error>> {
        let path = scripts.0.join("s.lua");
        fs::write(&path, script(seed))?;
        // The greatest size is counted anew.
        fs::write("/proc/self/clear_refs", "5")?;
        let (begun, before) = (busy()?, size("VmRSS")?);
        let ran = runtime.run(&path);
        let taken = Taken {
            time: busy()? - begun,
            memory: size("VmHWM")?.saturating_sub(before),
            ran: format!("{ran:?}"),
        };
        if std::env::var_os("HOSTILE_SHOW").is_some() {
            eprintln!("{}", taken.shown(seed));
        }
        Ok(taken)
    }

    fn is_too_much(&self) -> bool {
        self.time > LIMITS.load_time * 2 || self.memory > LIMITS.memory / 2 * 3
    }

    fn shown(&self, seed: u64) -> String {
        let (time, memory, ran) = (self.time, self.memory >> 10, &self.ran);
        let script = script(seed);
        let made = script.strip_prefix(BEGIN).unwrap_or(&script);
        format!("{seed}: {time:?}, {memory} KiB, {ran:.200}: {made:?}")
    }
}

#[test]
#[cfg(target_os = "linux")]
fn no_script_takes_more_than_twice_its_time_nor_half_as_much_memory_again() -> Tested {
    if std::env::var_os(QUIET).is_some() {
        return all();
    }
    let name = "no_script_takes_more_than_twice_its_time_nor_half_as_much_memory_again";
    let ran = Command::new(std::env::current_exe()?)
        .args(["--exact", name, "--nocapture"])
        .env(QUIET, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    assert!(ran.success(), "see above: {ran}");
    Ok(())
}

/// Runs all scripts.
#[cfg(target_os = "linux")]
fn all() -> Tested {
    let scripts = Scripts::new()?;
    let (first, count) = (
        number("HOSTILE_SEED", 1),
        number("HOSTILE_SCRIPTS", DEFAULT),
    );
    let database = Database::open("sqlite::memory:")?;
    let fresh = || Runtime::with_limits(&Network::new(), &database, LIMITS);
    let mut runtime = fresh()?;
    let (mut longest, mut largest) = ((Duration::ZERO, 0), (0, 0));
    let mut failed = Vec::new();
    for seed in first..first + count {
        if seed % SHARED == 0 {
            drop(runtime);
            runtime = fresh()?;
        }
        let mut taken = Taken::by(&runtime, &scripts, seed)?;
        // A machine that stops for a moment counts that as time of whoever runs. What a script takes
        // by itself it takes again, in a VM that has run the same scripts before it.
        for _ in 0..AGAIN {
            if !taken.is_too_much() {
                break;
            }
            drop(runtime);
            runtime = fresh()?;
            for before in first.max(seed - seed % SHARED)..seed {
                Taken::by(&runtime, &scripts, before)?;
            }
            taken = Taken::by(&runtime, &scripts, seed)?;
        }
        longest = longest.max((taken.time, seed));
        largest = largest.max((taken.memory, seed));
        if taken.is_too_much() {
            failed.push(taken.shown(seed));
            if failed.len() == SHOWN {
                break;
            }
        }
    }
    eprintln!("{count} scripts from {first} on; the longest (time, seed) is {longest:?}");
    eprintln!("the largest (bytes, seed) is {largest:?}");
    assert!(failed.is_empty(), "too much:\n{}", failed.join("\n"));
    Ok(())
}
