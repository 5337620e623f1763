---@meta
-- What editors know of the module: for lua-language-server. A test holds it to the functions that
-- there are.

---An event, as a node's function gets it.
---@class tributary.Event
---@field payload string the bytes
---@field data any the JSON in it, made when it is first asked for; null is tb.null
---@field meta table what is known about the event
---@field time number seconds since 1970

---@alias tributary.Emit fun(event: tributary.Event|table|string)

---@class tributary.Keyed
---@field key? string|string[] the field, or fields, whose values say to what an event belongs

---@class tributary.Delay
---@field limit? integer how many events it holds at most

---@class tributary.Batch: tributary.Keyed
---@field count? integer the most events of a batch; no limit where nothing is given
---@field bytes? integer the most bytes of their payloads; no limit where nothing is given
---@field time? string how long after its first event a batch leaves, as in "1s"; no limit where nothing is given

---@class tributary.Changed: tributary.Keyed
---@field by string|string[] the fields that are compared
---@field forget? string how long a key is remembered without an event, as in "1h"; for good where nothing is given

---@class tributary.Balance
---@field key? string the field whose equal values stay together; where none is given any of the nodes may get an event

---@class tributary.DeadLetters
---@field path? string a SQLite file for them alone
---@field db? boolean a table of the database of the scripts (default false)

---@class tributary.FileSink
---@field append? boolean whether what is there stays; false overwrites it (default true)
---@field sync? boolean whether each batch is written through to the disk (default false)

---@class tributary.FileSource
---@field follow? boolean whether it waits for more at the end of the file (default false)
---@field checkpoint? string the file that keeps its place
---@field in_flight? integer the most lines under way with a checkpoint (default 65536)
---@field rotate_wait? string how long nothing must have been added to a renamed file before it is let go (default "5s")

---@class tributary.Filter
---@field by? string|string[] the fields that make two events the same; the whole payload where none are given
---@field store? boolean whether what was delivered is remembered in the database (default false)

---@class tributary.Generator
---@field every? string the interval of the calls, as in "1s"; at once where nothing is given

---@class tributary.SqlSink
---@field table string the declared table
---@field mode? "insert"|"upsert" whether the first or the last row of a key stays (default "insert")

---@class tributary.OnError
---@field retry? integer how many attempts follow the first (default 0)
---@field backoff? string the first pause and the longest (default "100ms..10s")
---@field jitter? boolean whether a pause is cut by up to a half of it (default true)
---@field after? string the node that gets what was rejected for good

---@class tributary.Process: tributary.Keyed
---@field process fun(event: tributary.Event, emit: tributary.Emit, state: any): false? called for each event; false ends the state
---@field init? fun(key: any): any makes the state of a key; an empty table where nothing is given
---@field every? table<string, fun(emit: tributary.Emit, state: any, key: any): false?> timers by their interval, as in "5s"
---@field finish? fun(emit: tributary.Emit, state: any, key: any): false? called for each state when the stream ends

---@class tributary.Table
---@field columns table<string, string> the type of each column: "integer", "real", "text" or "text(1000)"
---@field key? string the column that tells rows apart
---@field children? table<string, table> tables for the arrays of an event, by the name of the field

---@class tributary.Window
---@field table string the declared table that takes the rows
---@field query string one SELECT
---@field time? string the column that holds a row's time in unix seconds
---@field size? string how long a row stays, as in "10s"
---@field slide? string with a size: how far one window begins after another
---@field count? integer in place of a size: the last so many rows
---@field gap? string in place of a size: how long without a row ends a session
---@field clock? "system"|"event" the clock that moves it (default "system")
---@field lateness? string with the clock "event": how late a row may come (default "0s")
---@field idle? string with the clock "event": how long a silent link is waited for; for good where nothing is given
---@field emit? "all"|"touched"|"changes"|"enter"|"leave"|"close" which rows of the answer leave (default "all", "close" where windows end)
---@field plan? "auto"|"requery"|"keyed"|"incremental" how the answer is kept up to date (default "auto")
---@field verify? number the share of events at which the whole query is asked as well (default 0)
---@field keys? string|string[] the columns that tell groups apart (default: those of GROUP BY)
---@field store? boolean whether rows are stored that nobody reads (default false)
---@field shared? boolean whether others write the table too (default false)

---What a test gets; see tributary test.
---@class tributary.Test
---@field load fun(t: tributary.Test, path: string)
---@field source fun(t: tributary.Test, name: string)
---@field sink fun(t: tributary.Test, name: string)
---@field inject fun(t: tributary.Test, node: string, event: table|string, ...: table|string)
---@field advance fun(t: tributary.Test, time: string)
---@field finish fun(t: tributary.Test)
---@field expect fun(t: tributary.Test, name: string, events: (table|string)[])
---@field expect_none fun(t: tributary.Test, name: string)
---@field received fun(t: tributary.Test, name: string): any[]
---@field now fun(t: tributary.Test): number

---@class tributary
---@field null userdata JSON's null
local tb = {}

---a test of a network, in a file for tributary test
---@param name string the name
---@param f fun(t: tributary.Test)
function tb.test(name, f) end

---marks a table as a list and returns it, so that it is [] in JSON when it is empty, not {}
---@param t? table
---@return table
function tb.array(t) end

---shares the events of one node among several; with a key, equal keys stay together
---@param from string a node, or "node.port"
---@param first string a node
---@param second string the next one
---@param ... string|tributary.Balance more members, and the field that keeps events together
---@return true
function tb.balance(from, first, second, ...) end

---links each node to the next one: chain("a", "b", "c") is link("a", "b") and link("b", "c")
---@param first string a node
---@param second string the next one
---@param ... string
---@return true
function tb.chain(first, second, ...) end

---a pipeline that emits several events as one list; the first limit reached counts
---@param name string the name of the node
---@param limits tributary.Batch
---@return true
function tb.create_batch(name, limits) end

---a pipeline that drops an event whose fields `by` are those of the last one
---@param name string the name of the node
---@param options tributary.Changed
---@return true
function tb.create_changed(name, options) end

---a pipeline that sends an event to port `silent` when none has come for this time
---@param name string the name of the node
---@param time string a time, as in "10s"
---@param options? tributary.Keyed
---@return true
function tb.create_deadman(name, time, options) end

---a pipeline that emits the last event once no other has come for this time
---@param name string the name of the node
---@param time string a time, as in "10s"
---@param options? tributary.Keyed
---@return true
function tb.create_debounce(name, time, options) end

---a pipeline that lets every event go on this much later, and holds `limit` at most
---@param name string the name of the node
---@param time string a time, as in "10s"
---@param options? tributary.Delay
---@return true
function tb.create_delay(name, time, options) end

---a sink that forgets every event
---@param name string the name of the node
---@return true
function tb.create_discarder(name) end

---a sink that keeps rejected events, byte for byte, with all that is known of why: see `tributary dlq`
---@param name string the name of the node
---@param options tributary.DeadLetters one of the two
---@return true
function tb.create_dlq(name, options) end

---a sink that adds each event as a line to a file; `append = false` overwrites it
---@param name string the name of the node
---@param path string the path of the file
---@param options? tributary.FileSink
---@return true
function tb.create_file_sink(name, path, options) end

---a source that emits each line of a file (JSON lines); `checkpoint` keeps its place
---@param name string the name of the node
---@param path string the path of the file
---@param options? tributary.FileSource
---@return true
function tb.create_file_source(name, path, options) end

---a pipeline that drops duplicates within the interval; `store` survives restarts
---@param name string the name of the node
---@param interval string a time, as in "10s"
---@param options? tributary.Filter
---@return true
function tb.create_filter(name, interval, options) end

---a pipeline that lets an event pass when the function returns true
---@param name string the name of the node
---@param f fun(event: tributary.Event): boolean?
---@return true
function tb.create_filter_fn(name, f) end

---a pipeline: what the function emits, any number of events, goes on in place of one
---@param name string the name of the node
---@param f fun(event: tributary.Event, emit: tributary.Emit)
---@return true
function tb.create_flat_map(name, f) end

---a pipeline that lets every event pass
---@param name string the name of the node
---@return true
function tb.create_forwarder(name) end

---a source that calls the function, at intervals or at once, until it returns false
---@param name string the name of the node
---@param f fun(emit: tributary.Emit, count: integer): boolean?
---@param options? tributary.Generator
---@return true
function tb.create_generator(name, f, options) end

---a sink that calls the function with each event
---@param name string the name of the node
---@param f fun(event: tributary.Event)
---@return true
function tb.create_handler(name, f) end

---a pipeline: the function returns the event that goes on, changed or not; nil drops it
---@param name string the name of the node
---@param f fun(event: tributary.Event): tributary.Event|table|string|nil
---@return true
function tb.create_map(name, f) end

---a pipeline with a state (for each `key`, a field), timers `every` and a last word
---@param name string the name of the node
---@param functions tributary.Process
---@return true
function tb.create_process(name, functions) end

---a pipeline that keeps events in a file until they are delivered
---@param name string the name of the node
---@param path string the path of the file
---@return true
function tb.create_queue(name, path) end

---a pipeline that lets at most one event pass in each interval
---@param name string the name of the node
---@param interval string a time, as in "10s"
---@return true
function tb.create_ratelimit(name, interval) end

---a pipeline that sends an event to each port whose function returns true, or `unmatched`
---@param name string the name of the node
---@param routes table<string, fun(event: tributary.Event): boolean?>
---@return true
function tb.create_route(name, routes) end

---a pipeline that emits the last event of each interval
---@param name string the name of the node
---@param interval string a time, as in "10s"
---@param options? tributary.Keyed
---@return true
function tb.create_sample(name, interval, options) end

---a sink by its address, as "file:alerts.jsonl"; see the table of connectors
---@param name string the name of the node
---@param url string the address
---@param options? table<string, any>
---@return true
function tb.create_sink(name, url, options) end

---a source by its address, as "file:bets.jsonl"; see the table of connectors
---@param name string the name of the node
---@param url string the address
---@param options? table<string, any>
---@return true
function tb.create_source(name, url, options) end

---a sink that writes each event into a table; with `mode = "upsert"` the last of a key wins
---@param name string the name of the node
---@param options tributary.SqlSink
---@return true
function tb.create_sql_sink(name, options) end

---a source that emits each line of standard input (JSON lines), then ends
---@param name string the name of the node
---@return true
function tb.create_stdin(name) end

---a sink that writes each event as a line to standard output
---@param name string the name of the node
---@return true
function tb.create_stdout(name) end

---declares a table, which is created where it does not exist
---@param name string the name of the table
---@param columns tributary.Table
---@return true
function tb.create_table(name, columns) end

---a sink that prints its indicator for every event
---@param name string the name of the node
---@param indicator string what is printed
---@return true
function tb.create_tester(name, indicator) end

---a pipeline that lets at most so many events pass in any interval
---@param name string the name of the node
---@param count integer how many events
---@param interval string a time, as in "10s"
---@param options? tributary.Keyed
---@return true
function tb.create_throttle(name, count, interval, options) end

---a source that emits {"tick", "time"} at every interval
---@param name string the name of the node
---@param interval string a time, as in "10s"
---@return true
function tb.create_ticker(name, interval) end

---a pipeline that inserts each event into a table and passes it on
---@param name string the name of the node
---@param table? string the declared table; the only one where none is given
---@return true
function tb.create_window(name, table) end

---how a window keeps its answer up to date: the plan, why, the SQL, the indexes
---@param name string the name
---@return string
function tb.explain(name) end

---@class tributary.LinkOptions
---@field capacity? integer how many events may wait in it (default 4096, or --buffer)
---@field bytes? integer how many bytes may (default 67108864)
---@field overflow? "block"|"drop_newest"|"drop_oldest"|"spill" what happens when it is full (default "block")
---@field timeout? string how long its sender waits while nothing is taken from it; for good where nothing is given
---@field spill_dir? string the directory of the file that it spills to (default: that for temporary files)
---@field spill_size? integer the greatest size of that file, in bytes (default 1073741824)

---links several nodes to one, which gets the events of all
---@param to string a node
---@param from string a node, or "node.port"
---@param ... string|tributary.LinkOptions
---@return true
function tb.fanin(to, from, ...) end

---links one node to several: each gets a copy of every event
---@param from string a node, or "node.port"
---@param to string a node
---@param ... string|tributary.LinkOptions
---@return true
function tb.fanout(from, to, ...) end

---like tumbling_window, for windows of `size` of which one begins every `slide`
---@param name string the name of the node
---@param out string the name of the node at which the answers leave
---@param query string one SELECT
---@param table string the declared table
---@param size string how long a row stays, as in "10s"
---@param slide string how far one window begins after another
---@param time_column string the column of a row's time in unix seconds
---@return true
function tb.hopping_window(name, out, query, table, size, slide, time_column) end

---copies every event that leaves `from` (a node or "node.port") to `to`
---@param from string a node, or "node.port"
---@param to string a node
---@param options? tributary.LinkOptions
---@return true
function tb.link(from, to, options) end

---logs a text, at most 64 KiB of it: level is "error", "warn", "info" (where none is given), "debug"
---@param level string the level, or the text
---@param text? string the text
function tb.log(level, text) end

---whether there is a node of this name
---@param name string the name
---@return boolean
function tb.node_exists(name) end

---the network's instant, in seconds since 1970 with their fraction
---@return number
function tb.now() end

---tries a rejected event again, then sends it to `target`; node "*" is all but what that leads to
---@param node string the name of a node, or "*"
---@param target string|tributary.OnError
---@return true
function tb.on_error(node, target) end

---a pipeline that runs a query for each event and emits each row of the answer
---@param name string the name of the node
---@param query string one SELECT
---@return true
function tb.query_window(name, query) end

---inserts each event, answers at node `out` when no row of a group has come for `gap`
---@param name string the name of the node
---@param out string the name of the node at which the answers leave
---@param query string one SELECT
---@param table string the declared table
---@param gap string how long without a row ends a session
---@param time_column string the column of a row's time in unix seconds
---@return true
function tb.session_window(name, out, query, table, gap, time_column) end

---inserts each event, answers with the query over the last `n` rows at node `out`
---@param name string the name of the node
---@param out string the name of the node at which the answers leave
---@param query string one SELECT
---@param table string the declared table
---@param n integer how many rows
---@return true
function tb.sliding_window_count(name, out, query, table, n) end

---inserts each event, answers with the query over the last `size` at node `out`
---@param name string the name of the node
---@param out string the name of the node at which the answers leave
---@param query string one SELECT
---@param table string the declared table
---@param size string how long a row stays, as in "10s"
---@param time_column string the column of a row's time in unix seconds
---@return true
function tb.sliding_window_time(name, out, query, table, size, time_column) end

---the account of a running network: a table of nodes and a list of links
---@return {nodes: table<string, table>, links: table[]}
function tb.stats() end

---inserts each event, answers at node `out` with the query over each `size` when it has ended
---@param name string the name of the node
---@param out string the name of the node at which the answers leave
---@param query string one SELECT
---@param table string the declared table
---@param size string how long a row stays, as in "10s"
---@param time_column string the column of a row's time in unix seconds
---@return true
function tb.tumbling_window(name, out, query, table, size, time_column) end

---inserts each event, keeps the answer of the query up to date, emits at node `out`
---@param name string the name of the node
---@param out string the name of the node at which the answers leave
---@param options tributary.Window
---@return true
function tb.window(name, out, options) end

return tb
