---@meta
-- Annotations of the module for editors with lua-language-server. A test compares them with the functions.

---An event, as the function of a node receives it.
---@class tributary.Event
---@field payload string the bytes
---@field data any the JSON in it, decoded when it is first used; null is tb.null
---@field meta table what is known about the event
---@field time number seconds since 1970

---@alias tributary.Emit fun(event: tributary.Event|table|string)

---@class tributary.Keyed
---@field key? string|string[] the field, or fields, whose values form the key of an event

---@class tributary.Delay
---@field max_events? integer the most events that it holds; one more is rejected (default 1000000)
---@field max_bytes? integer the most bytes of payload and meta that it holds (default 268435456)
---@field limit? integer an older name of max_events

---@class tributary.Deadman: tributary.Keyed
---@field max_keys? integer the most keys that it watches; an event of one more is rejected (default 10000000)
---@field max_bytes? integer the most bytes of the values of all keys (default 268435456)

---@class tributary.Held: tributary.Keyed
---@field max_keys? integer the most keys of which it holds an event; an event of one more is rejected (default 10000000)
---@field max_events? integer the same, since it holds one event for each key (default 10000000)
---@field max_bytes? integer the most bytes of payload and meta that it holds (default 268435456)

---@class tributary.Throttle: tributary.Keyed
---@field max_keys? integer the most keys that it keeps; an event of one more is rejected (default 10000000)
---@field max_events? integer the most events of all keys that may pass in the interval; one more is rejected (default 10000000)

---@class tributary.Batch: tributary.Keyed
---@field count? integer the most events of a batch (default: no limit)
---@field bytes? integer the most bytes of their payloads (default: no limit)
---@field time? string how long after its first event a batch is emitted, as in "1s" (default: no limit)
---@field max_keys? integer the most batches that are open; for one more the oldest is emitted early (default 10000000)
---@field max_events? integer the most events of all keys; for one more the oldest batch is emitted early (default 10000000)
---@field max_bytes? integer the most bytes of all keys; beyond that the oldest batch is emitted early (default 268435456)

---@class tributary.Changed: tributary.Keyed
---@field by string|string[] the fields that are compared
---@field forget? string how long a key is remembered without an event, as in "1h" (default: no limit)
---@field max_keys? integer the most keys that it remembers; for one more the oldest is forgotten (default 10000000)

---@class tributary.Balance
---@field key? string the field whose equal values go to one node (default: any node may get an event)

---@class tributary.DeadLetters
---@field path? string a SQLite file for the dead letters
---@field db? boolean a table of the database of the scripts (default false)

---@class tributary.RecordFormat
---@field format? "json"|"text"|"bytes"|"csv"|"logfmt"|"syslog"|"combined"|"common"|"nginx_error"|{pattern: string} what a record is (default "json")
---@field columns? string[] csv: the names of the columns (default: the first row has them)
---@field delimiter? string csv: the character between values (default ",")
---@field quote? string csv: the character around values; "" for none (default '"')
---@field types? string|table<string, string> csv, logfmt, patterns: what fields become: "text", "integer", "real", "boolean", "auto", "time" or the format of a time, as in "%Y-%m-%d"; one for all, or by field

---@class tributary.Multiline
---@field start string a pattern that matches the first line of an event
---@field timeout? string how long after its last line an event ends (default "1s")
---@field lines? integer the most lines of an event (default 500)

---@class tributary.ReadFormat: tributary.RecordFormat
---@field header? boolean csv: whether the first row is a header (default: without `columns`)
---@field multiline? tributary.Multiline the lines that are one event (default: each line is one)

---@class tributary.WriteFormat
---@field format? "json"|"text"|"bytes"|"csv"|"logfmt" what is written (default "json")
---@field columns? string[] csv: the fields that are written (default: those of the first event)
---@field header? boolean csv: whether the names of the columns come first (default true)
---@field delimiter? string csv: the character between values (default ",")
---@field quote? string csv: the character around values; "" for none (default '"')
---@field template? string text: the line, as in "{data.host}: {data.status}" (default: the field `message`)

---@class tributary.Parse: tributary.RecordFormat
---@field field? string the field with the text (default "message")
---@field keep? boolean whether the other fields of the event stay (default false)

---@class tributary.FileSink: tributary.WriteFormat
---@field append? boolean whether the content of the file is kept; false overwrites it (default true)
---@field sync? boolean whether each batch is synced to the disk (default false)

---@class tributary.FileSource: tributary.ReadFormat
---@field follow? boolean whether to wait for more lines at the end of the file (default false)
---@field checkpoint? string the file that keeps the position
---@field in_flight? integer with a checkpoint: the most lines in flight (default 65536)
---@field rotate_wait? string how long a renamed file is read after its last line (default "5s")

---@class tributary.Filter
---@field by? string|string[] the fields that identify a duplicate (default: the whole payload)
---@field store? boolean whether the keys are kept in the database (default false)
---@field max_keys? integer the most keys that it remembers; for one more the oldest is forgotten (default 10000000)

---@class tributary.Generator
---@field every? string the interval of the calls, as in "1s" (default: no pause)

---@class tributary.SqlSink
---@field table string the declared table
---@field mode? "insert"|"upsert" whether the first or the last row of a key is kept (default "insert")

---@class tributary.OnError
---@field retry? integer how many attempts follow the first (default 0)
---@field backoff? string the first pause and the longest (default "100ms..10s")
---@field jitter? boolean whether a pause is shortened randomly by up to a half (default true)
---@field after? string the node that gets the event after the last attempt

---@class tributary.Process: tributary.Keyed
---@field process fun(event: tributary.Event, emit: tributary.Emit, state: any): false? called for each event; false ends the state
---@field init? fun(key: any): any creates the state of a key (default: an empty table)
---@field every? table<string, fun(emit: tributary.Emit, state: any, key: any): false?> timers by their interval, as in "5s"
---@field finish? fun(emit: tributary.Emit, state: any, key: any): false? called for each state when the stream ends
---@field max_keys? integer the most keys that have a state; an event of one more is rejected (default 10000000)

---@class tributary.Table
---@field columns table<string, string> the type of each column: "integer", "real", "text" or "text(1000)"
---@field key? string the column that identifies a row
---@field children? table<string, table> child tables for the arrays of an event, by the name of the field

---@class tributary.Reads
---@field reads? string|string[] other tables and views that the query reads

---@class tributary.Window
---@field table string the declared table that stores the rows
---@field query string one SELECT
---@field time? string the column that holds a row's time in unix seconds
---@field size? string how long a row is in the window, as in "10s"
---@field slide? string with a size: the distance between the beginnings of two windows
---@field count? integer in place of a size: how many of the last rows
---@field gap? string in place of a size: the time without a row that ends a session
---@field clock? "system"|"event" processing time, or event time (default "system")
---@field lateness? string with the clock "event": how far a row may be behind the latest one (default "0s")
---@field idle? string with the clock "event": after how long a silent link no longer holds the watermark back (default: never)
---@field emit? "all"|"touched"|"changes"|"enter"|"leave"|"close" which rows of the result are emitted (default "all", "close" where windows end)
---@field plan? "auto"|"requery"|"keyed"|"incremental" how the result is kept up to date (default "auto")
---@field verify? number the share of events for which the whole query is run as well (default 0)
---@field keys? string|string[] the columns that identify a group (default: those of GROUP BY)
---@field reads? string|string[] other tables and views that the query reads
---@field store? boolean whether rows are stored if no node reads them (default false)
---@field shared? boolean whether other processes write the table (default false)

---The bench that the function of a test receives; see tributary test.
---@class tributary.Test
---@field load fun(t: tributary.Test, path: string)
---@field reload fun(t: tributary.Test, path: string, script?: string)
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

---shares the events of one node among several; with a key, events of one key go to one node
---@param from string a node, or "node.port"
---@param first string a node
---@param second string the next one
---@param ... string|tributary.Balance more members, and the key
---@return true
function tb.balance(from, first, second, ...) end

---links each node to the next one: chain("a", "b", "c") is link("a", "b") and link("b", "c")
---@param first string a node
---@param second string the next one
---@param ... string
---@return true
function tb.chain(first, second, ...) end

---a pipeline that emits several events as one list, when one of the limits is reached
---@param name string the name of the node
---@param limits tributary.Batch
---@return true
function tb.create_batch(name, limits) end

---a pipeline that drops an event if its fields `by` equal those of the last one
---@param name string the name of the node
---@param options tributary.Changed
---@return true
function tb.create_changed(name, options) end

---a pipeline that sends an event to port `silent` when none has come for this time
---@param name string the name of the node
---@param time string a time, as in "10s"
---@param options? tributary.Deadman
---@return true
function tb.create_deadman(name, time, options) end

---a pipeline that emits the last event when no other has come for this time
---@param name string the name of the node
---@param time string a time, as in "10s"
---@param options? tributary.Held
---@return true
function tb.create_debounce(name, time, options) end

---a pipeline that passes every event after this time, and holds at most `max_events` events
---@param name string the name of the node
---@param time string a time, as in "10s"
---@param options? tributary.Delay
---@return true
function tb.create_delay(name, time, options) end

---a sink that discards every event
---@param name string the name of the node
---@return true
function tb.create_discarder(name) end

---a dead-letter queue: keeps rejected events, byte for byte, with their errors; see `tributary dlq`
---@param name string the name of the node
---@param options tributary.DeadLetters one of the two
---@return true
function tb.create_dlq(name, options) end

---a sink that appends each event as a line to a file; `append = false` overwrites the file
---@param name string the name of the node
---@param path string the path of the file
---@param options? tributary.FileSink
---@return true
function tb.create_file_sink(name, path, options) end

---a source that emits each line of a file (JSON lines or another format); `checkpoint` keeps its position
---@param name string the name of the node
---@param path string the path of the file
---@param options? tributary.FileSource
---@return true
function tb.create_file_source(name, path, options) end

---a pipeline that drops duplicates within the interval; with `store`, also after a restart
---@param name string the name of the node
---@param interval string a time, as in "10s"
---@param options? tributary.Filter
---@return true
function tb.create_filter(name, interval, options) end

---a pipeline that passes an event if the function returns true
---@param name string the name of the node
---@param f fun(event: tributary.Event): boolean?
---@return true
function tb.create_filter_fn(name, f) end

---a pipeline that replaces each event by those that the function emits, any number of them
---@param name string the name of the node
---@param f fun(event: tributary.Event, emit: tributary.Emit)
---@return true
function tb.create_flat_map(name, f) end

---a pipeline that passes every event
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

---a pipeline that emits what the function returns, the event or another one; nil drops it
---@param name string the name of the node
---@param f fun(event: tributary.Event): tributary.Event|table|string|nil
---@return true
function tb.create_map(name, f) end

---a pipeline with a state, or one for each value of the field `key`, with timers and a function for the end
---@param name string the name of the node
---@param functions tributary.Process
---@return true
function tb.create_process(name, functions) end

---a pipeline that keeps events in a file until they are delivered
---@param name string the name of the node
---@param path string the path of the file
---@return true
function tb.create_queue(name, path) end

---a pipeline that parses the text in a field; `keep` keeps the event's other fields
---@param name string the name of the node
---@param options? tributary.Parse
---@return true
function tb.create_parse(name, options) end

---a pipeline that passes at most one event in each interval
---@param name string the name of the node
---@param interval string a time, as in "10s"
---@return true
function tb.create_ratelimit(name, interval) end

---a pipeline that sends an event to each port whose function returns true, or to `unmatched`
---@param name string the name of the node
---@param routes table<string, fun(event: tributary.Event): boolean?>
---@return true
function tb.create_route(name, routes) end

---a pipeline that emits the last event of each interval
---@param name string the name of the node
---@param interval string a time, as in "10s"
---@param options? tributary.Held
---@return true
function tb.create_sample(name, interval, options) end

---a sink by its address, such as "file:alerts.jsonl"; see the guide, connectors
---@param name string the name of the node
---@param url string the address
---@param options? table<string, any>
---@return true
function tb.create_sink(name, url, options) end

---a source by its address, such as "file:bets.jsonl"; see the guide, connectors
---@param name string the name of the node
---@param url string the address
---@param options? table<string, any>
---@return true
function tb.create_source(name, url, options) end

---a sink that writes each event as a row; `mode = "upsert"` replaces the row of the same key
---@param name string the name of the node
---@param options tributary.SqlSink
---@return true
function tb.create_sql_sink(name, options) end

---a source that emits each line of standard input (JSON lines or another format), then ends
---@param name string the name of the node
---@param options? tributary.ReadFormat
---@return true
function tb.create_stdin(name, options) end

---a sink that writes each event as a line to standard output
---@param name string the name of the node
---@param options? tributary.WriteFormat
---@return true
function tb.create_stdout(name, options) end

---declares a table and creates it if it does not exist
---@param name string the name of the table
---@param columns tributary.Table
---@return true
function tb.create_table(name, columns) end

---a sink that prints its indicator for every event
---@param name string the name of the node
---@param indicator string the text that is printed
---@return true
function tb.create_tester(name, indicator) end

---a pipeline that passes at most this many events in any interval
---@param name string the name of the node
---@param count integer how many events
---@param interval string a time, as in "10s"
---@param options? tributary.Throttle
---@return true
function tb.create_throttle(name, count, interval, options) end

---a source that emits {"tick", "time"} at every interval
---@param name string the name of the node
---@param interval string a time, as in "10s"
---@return true
function tb.create_ticker(name, interval) end

---a pipeline that inserts each event into a table and passes it on
---@param name string the name of the node
---@param table? string the declared table (default: the only one)
---@return true
function tb.create_window(name, table) end

---how a window keeps its result up to date: the plan, the reason, the SQL, the indexes
---@param name string the name
---@return string
function tb.explain(name) end

---@class tributary.LinkOptions
---@field capacity? integer how many events it holds (default 4096, or --buffer)
---@field bytes? integer how many bytes of payload it holds (default 67108864)
---@field overflow? "block"|"drop_newest"|"drop_oldest"|"spill" what happens when it is full (default "block")
---@field timeout? string how long its sender waits while nothing is taken from it, before the network ends (default: no limit)
---@field spill_dir? string the directory of the spill file (default: the system's for temporary files)
---@field spill_size? integer the largest size of the spill file, in bytes (default 1073741824)

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

---windows of `size`, of which one begins every `slide`: emits like tumbling_window
---@param name string the name of the node
---@param out string the name of the node at which the results leave
---@param query string one SELECT
---@param table string the declared table
---@param size string how long a row is in the window, as in "10s"
---@param slide string the distance between the beginnings of two windows
---@param time_column string the column with a row's time, in unix seconds
---@param options? tributary.Reads
---@return true
function tb.hopping_window(name, out, query, table, size, slide, time_column, options) end

---copies every event that leaves `from` (a node or "node.port") to `to`
---@param from string a node, or "node.port"
---@param to string a node
---@param options? tributary.LinkOptions
---@return true
function tb.link(from, to, options) end

---logs a text, at most 64 KiB of it; the level is "error", "warn", "info" (the default) or "debug"
---@param level string the level, or the text
---@param text? string the text
function tb.log(level, text) end

---whether a node of this name exists
---@param name string the name
---@return boolean
function tb.node_exists(name) end

---the network's time, in seconds since 1970 with a fraction
---@return number
function tb.now() end

---retries a rejected event, then sends it to `target`; node "*" stands for all nodes not behind the target
---@param node string the name of a node, or "*"
---@param target string|tributary.OnError
---@return true
function tb.on_error(node, target) end

---a pipeline that runs a query for each event and emits each row of the result
---@param name string the name of the node
---@param query string one SELECT
---@param options? tributary.Reads
---@return true
function tb.query_window(name, query, options) end

---removes a node with its links; it processes what waits for it, and ends
---@param name string the name
---@return true
function tb.remove(name) end

---a session for each group: emits the result at node `out` when no row has come for `gap`
---@param name string the name of the node
---@param out string the name of the node at which the results leave
---@param query string one SELECT
---@param table string the declared table
---@param gap string the time without a row that ends a session
---@param time_column string the column with a row's time, in unix seconds
---@param options? tributary.Reads
---@return true
function tb.session_window(name, out, query, table, gap, time_column, options) end

---a window over the last `n` rows: inserts each event and emits the query's result at node `out`
---@param name string the name of the node
---@param out string the name of the node at which the results leave
---@param query string one SELECT
---@param table string the declared table
---@param n integer how many rows
---@param options? tributary.Reads
---@return true
function tb.sliding_window_count(name, out, query, table, n, options) end

---a window over the last `size`: inserts each event and emits the query's result at node `out`
---@param name string the name of the node
---@param out string the name of the node at which the results leave
---@param query string one SELECT
---@param table string the declared table
---@param size string how long a row is in the window, as in "10s"
---@param time_column string the column with a row's time, in unix seconds
---@param options? tributary.Reads
---@return true
function tb.sliding_window_time(name, out, query, table, size, time_column, options) end

---the counts of a running network: a table of nodes and a list of links
---@return {nodes: table<string, table>, links: table[]}
function tb.stats() end

---windows of `size`, one after another: emits the query's result at node `out` when a window ends
---@param name string the name of the node
---@param out string the name of the node at which the results leave
---@param query string one SELECT
---@param table string the declared table
---@param size string how long a row is in the window, as in "10s"
---@param time_column string the column with a row's time, in unix seconds
---@param options? tributary.Reads
---@return true
function tb.tumbling_window(name, out, query, table, size, time_column, options) end

---removes a link; what was sent into it still arrives
---@param from string a node, or "node.port"
---@param to string a node
---@return true
function tb.unlink(from, to) end

---a window: inserts each event, keeps the query's result up to date and emits it at node `out`
---@param name string the name of the node
---@param out string the name of the node at which the results leave
---@param options tributary.Window
---@return true
function tb.window(name, out, options) end

return tb
