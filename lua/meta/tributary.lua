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

---@class tributary.Batch: tributary.Keyed
---@field count? integer
---@field bytes? integer
---@field time? string

---@class tributary.Changed: tributary.Keyed
---@field by string|string[] the fields that are looked at
---@field forget? string

---@class tributary.OnError
---@field retry? integer
---@field backoff? string the first pause and the longest, as in "100ms..10s"
---@field jitter? boolean
---@field after? string the node that gets what was rejected for good

---@class tributary.Process: tributary.Keyed
---@field process fun(event: tributary.Event, emit: tributary.Emit, state: any): false?
---@field init? fun(key: any): any
---@field every? table<string, fun(emit: tributary.Emit, state: any, key: any): false?>
---@field finish? fun(emit: tributary.Emit, state: any, key: any): false?

---@class tributary.Table
---@field columns table<string, string>
---@field key? string
---@field children? table<string, table>

---@class tributary.Window
---@field table string
---@field query string
---@field time? string the column that holds a row's time in unix seconds
---@field size? string
---@field slide? string
---@field count? integer
---@field gap? string
---@field clock? "system"|"event"
---@field lateness? string
---@field idle? string
---@field emit? "all"|"touched"|"changes"|"enter"|"leave"|"close"
---@field plan? "auto"|"requery"|"keyed"|"incremental"
---@field verify? number
---@field keys? string|string[]
---@field store? boolean
---@field shared? boolean

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
---@param name string
---@param f fun(t: tributary.Test)
function tb.test(name, f) end

---marks a table as a list and returns it, so that it is [] in JSON when it is empty, not {}
---@param t? table
---@return table
function tb.array(t) end

---shares the events of one node among several; with a key, equal keys stay together
---@param from string a node, or "node.port"
---@param first string
---@param second string
---@param ... string|{key: string} more members, and the field that keeps events together
---@return true
function tb.balance(from, first, second, ...) end

---links each node to the next one: chain("a", "b", "c") is link("a", "b") and link("b", "c")
---@param first string
---@param second string
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
---@param time string
---@param options? tributary.Keyed
---@return true
function tb.create_deadman(name, time, options) end

---a pipeline that emits the last event once no other has come for this time
---@param name string the name of the node
---@param time string
---@param options? tributary.Keyed
---@return true
function tb.create_debounce(name, time, options) end

---a pipeline that lets every event go on this much later
---@param name string the name of the node
---@param time string
---@return true
function tb.create_delay(name, time) end

---a sink that forgets every event
---@param name string the name of the node
---@return true
function tb.create_discarder(name) end

---a sink that keeps rejected events, byte for byte, with all that is known of why: see `tributary dlq`
---@param name string the name of the node
---@param options {path?: string, db?: boolean} a file for them alone, or the database of the scripts
---@return true
function tb.create_dlq(name, options) end

---a sink that adds each event as a line to a file; `append = false` overwrites it
---@param name string the name of the node
---@param path string
---@param options? {append: boolean, sync: boolean}
---@return true
function tb.create_file_sink(name, path, options) end

---a source that emits each line of a file (JSON lines); `checkpoint` keeps its place
---@param name string the name of the node
---@param path string
---@param options? {follow: boolean, checkpoint: string, in_flight: integer}
---@return true
function tb.create_file_source(name, path, options) end

---a pipeline that drops duplicates within the interval; `store` survives restarts
---@param name string the name of the node
---@param interval string
---@param options? {by: string|string[], store: boolean}
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
---@param options? {every: string}
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
---@param path string
---@return true
function tb.create_queue(name, path) end

---a pipeline that lets at most one event pass in each interval
---@param name string the name of the node
---@param interval string
---@return true
function tb.create_ratelimit(name, interval) end

---a pipeline that sends an event to each port whose function returns true, or `unmatched`
---@param name string the name of the node
---@param routes table<string, fun(event: tributary.Event): boolean?>
---@return true
function tb.create_route(name, routes) end

---a pipeline that emits the last event of each interval
---@param name string the name of the node
---@param interval string
---@param options? tributary.Keyed
---@return true
function tb.create_sample(name, interval, options) end

---a sink by its address, as "file:alerts.jsonl"; see the table of connectors
---@param name string the name of the node
---@param url string
---@param options? table<string, any>
---@return true
function tb.create_sink(name, url, options) end

---a source by its address, as "file:bets.jsonl"; see the table of connectors
---@param name string the name of the node
---@param url string
---@param options? table<string, any>
---@return true
function tb.create_source(name, url, options) end

---a sink that writes each event into a table; with `mode = "upsert"` the last of a key wins
---@param name string the name of the node
---@param options {table: string, mode: "insert"|"upsert"|nil}
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
---@param indicator string
---@return true
function tb.create_tester(name, indicator) end

---a pipeline that lets at most so many events pass in any interval
---@param name string the name of the node
---@param count integer
---@param interval string
---@param options? tributary.Keyed
---@return true
function tb.create_throttle(name, count, interval, options) end

---a source that emits {"tick", "time"} at every interval
---@param name string the name of the node
---@param interval string
---@return true
function tb.create_ticker(name, interval) end

---a pipeline that inserts each event into a table and passes it on
---@param name string the name of the node
---@param table? string
---@return true
function tb.create_window(name, table) end

---how a window keeps its answer up to date: the plan, why, the SQL, the indexes
---@param name string
---@return string
function tb.explain(name) end

---@class tributary.LinkOptions
---@field capacity? integer how many events may wait in it
---@field bytes? integer how many bytes may
---@field overflow? "block"|"drop_newest"|"drop_oldest"|"spill" what happens when it is full
---@field timeout? string how long its sender waits while nothing is taken from it
---@field spill_dir? string
---@field spill_size? integer in bytes

---links several nodes to one, which gets the events of all
---@param to string
---@param from string
---@param ... string|tributary.LinkOptions
---@return true
function tb.fanin(to, from, ...) end

---links one node to several: each gets a copy of every event
---@param from string
---@param to string
---@param ... string|tributary.LinkOptions
---@return true
function tb.fanout(from, to, ...) end

---like tumbling_window, for windows of `size` of which one begins every `slide`
---@param name string the name of the node
---@param out string the name of the node at which the answers leave
---@param query string
---@param table string
---@param size string
---@param slide string
---@param time_column string
---@return true
function tb.hopping_window(name, out, query, table, size, slide, time_column) end

---copies every event that leaves `from` (a node or "node.port") to `to`
---@param from string a node, or "node.port"
---@param to string
---@param options? tributary.LinkOptions
---@return true
function tb.link(from, to, options) end

---logs a text: level is "error", "warn", "info" (where none is given), "debug"
---@param level string
---@param text? string
function tb.log(level, text) end

---whether there is a node of this name
---@param name string
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
---@param query string
---@return true
function tb.query_window(name, query) end

---inserts each event, answers at node `out` when no row of a group has come for `gap`
---@param name string the name of the node
---@param out string the name of the node at which the answers leave
---@param query string
---@param table string
---@param gap string
---@param time_column string
---@return true
function tb.session_window(name, out, query, table, gap, time_column) end

---inserts each event, answers with the query over the last `n` rows at node `out`
---@param name string the name of the node
---@param out string the name of the node at which the answers leave
---@param query string
---@param table string
---@param n integer
---@return true
function tb.sliding_window_count(name, out, query, table, n) end

---inserts each event, answers with the query over the last `size` at node `out`
---@param name string the name of the node
---@param out string the name of the node at which the answers leave
---@param query string
---@param table string
---@param size string
---@param time_column string
---@return true
function tb.sliding_window_time(name, out, query, table, size, time_column) end

---the account of a running network: a table of nodes and a list of links
---@return {nodes: table<string, table>, links: table[]}
function tb.stats() end

---inserts each event, answers at node `out` with the query over each `size` when it has ended
---@param name string the name of the node
---@param out string the name of the node at which the answers leave
---@param query string
---@param table string
---@param size string
---@param time_column string
---@return true
function tb.tumbling_window(name, out, query, table, size, time_column) end

---inserts each event, keeps the answer of the query up to date, emits at node `out`
---@param name string the name of the node
---@param out string the name of the node at which the answers leave
---@param options tributary.Window
---@return true
function tb.window(name, out, options) end

return tb
