//! What a query may reach: the tables that it reads, and the functions that it calls.

use crate::support::binary::Site;
use crate::support::databases::{Kind, Place, ask, bets, insert, one};
use serde_json::json;
use tributary::connect::{self, Options};
use tributary::time::Timestamp;
use tributary::{Database, ErrorKind, Network, Table, sink};

crate::over_all_databases! {
    functions_that_act_are_refused_however_they_are_written
    functions_that_compute_are_called
    a_query_reads_declared_tables_alone
    tables_and_views_that_are_named_are_read_too
    what_belongs_to_the_database_is_never_read
    a_query_of_its_own_hides_no_table
    a_query_that_the_parser_does_not_know_reads_no_more
    a_sql_source_reads_the_tables_of_its_user_and_nothing_of_the_database
}

fn refused(db: &Database, sql: &str) -> String {
    match db.prepare(sql) {
        Ok(_) => panic!("taken: {sql}"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Data, "{error}");
            error.to_string()
        }
    }
}

/// A database with declared tables, and others: `unlisted` with a row, a view on it, `rates`.
fn filled(place: &Place) -> Database {
    let db = place.open();
    db.declare(bets()).unwrap();
    db.connect().unwrap();
    if place.kind == Kind::Memory {
        // Nobody else can make a table; this one is ours, and not declared either.
        db.connect().unwrap().recall("x", Timestamp::EPOCH).unwrap();
        return db;
    }
    for sql in [
        "create table unlisted (word varchar(20))",
        "insert into unlisted values ('hidden')",
        "create table rates (currency varchar(3), rate double)",
        "insert into rates values ('EUR', 2)",
        "create view shown as select word from unlisted",
        "create view counted as select 1 as one from unlisted",
        "create view nested as select word from shown",
        "create view with_own as with c as (select word from unlisted) select word from c",
    ] {
        place.execute(sql);
    }
    db
}

/// The table that is there and not declared.
fn hidden(place: &Place) -> &'static str {
    match place.kind {
        Kind::Memory => "tributary_keys",
        _ => "unlisted",
    }
}

fn functions_that_act_are_refused_however_they_are_written(place: &Place) {
    let db = filled(place);
    let calls: &[&str] = match place.kind {
        Kind::Mariadb => &[
            "load_file('/etc/hostname')",
            "`load_file`('/etc/hostname')",
            "`LOAD_FILE` ('/etc/hostname')",
            "Load_File/* x */('/etc/hostname')",
            "sleep(10)",
            "`sleep`(10)",
            "sleep\n(10)",
            "{fn sleep(10)}",
            "benchmark(1000000000, md5('x'))",
            "`benchmark`(1000000000, md5('x'))",
            "get_lock('x', 10)",
            "`get_lock`('x', 10)",
            "is_free_lock('x')",
            "release_lock('x')",
            "release_all_locks()",
            "last_insert_id(5)",
            "lastval(s)",
            "nextval(s)",
            "mysql.sleep(1)",
            "`mysql`.`sleep`(1)",
            "sys.sleep(1)",
            "some_function(1)",
            "`1f`(2)",
            "1f(2)",
            "any(1)",
            "columns(1)",
            "datetime(6)",
            "master_pos_wait('x', 1)",
            "user()",
            "abs(1) and sleep(1)",
            "(select 1 from example_bets where sleep(1))",
        ],
        _ => &[
            "load_extension('x')",
            "\"load_extension\"('x')",
            "`load_extension`('x')",
            "[load_extension]('x')",
            "fts3_tokenizer('simple')",
            "sqlite_log(1, 'x')",
            "last_insert_rowid()",
            "sqlite_compileoption_used('X')",
            "(select 1 from example_bets where load_extension('x'))",
        ],
    };
    for call in calls {
        let message = refused(&db, &format!("select {call} as x"));
        assert!(message.contains("cannot be called"), "{call}: {message}");
    }
    let name = match place.kind {
        Kind::Mariadb => "load_file",
        _ => "load_extension",
    };
    assert_eq!(
        refused(
            &db,
            &format!("select 1 as one,\n  {name}('/etc/hostname') as x")
        ),
        format!(
            "bad query: {name}() cannot be called at line 2, column 3; \
             a query calls functions of the database that compute, and no others"
        )
    );
    if place.kind == Kind::Mariadb {
        let message = refused(&db, "select cuont(*) as n from example_bets");
        assert!(message.ends_with("did you mean \"count\"?"), "{message}");
        for sql in [
            "select * from example_bets procedure analyse()",
            "select 1 /*! , sleep(1) */ as x",
            "select 1 /*M! , sleep(1) */ as x",
            "select /*+ max_execution_time(0) */ 1 as x",
            "select @@version as x",
            "select 1 into @x",
            "select next value for s as n",
            "select `uuid` from example_bets union table unlisted",
        ] {
            refused(&db, sql);
        }
    }
}

fn functions_that_compute_are_called(place: &Place) {
    let db = filled(place);
    let mut store = db.connect().unwrap();
    insert(
        &mut *store,
        &db,
        "example_bets",
        &crate::support::databases::bet("a", 1_000, "anna", 7.0),
    )
    .unwrap();
    let both = [
        "abs(-1)",
        "round(1.25, 1)",
        "coalesce(null, 1)",
        "nullif(1, 2)",
        "ifnull(null, 2)",
        "lower('A')",
        "upper('a')",
        "length('abc')",
        "substr('abc', 2)",
        "trim(' a ')",
        "ltrim(' a')",
        "rtrim('a ')",
        "replace('abc', 'b', 'x')",
        "instr('abc', 'c')",
        "concat('a', 'b')",
        "hex('a')",
        "cast('1' as integer)",
        "case when 1 then 2 else 3 end",
        "sign(-2)",
        "json_extract('{\"a\":1}', '$.a')",
        "json_object('a', 1)",
        "json_array(1, 2)",
        "(select sum(stake) from example_bets)",
        "(select avg(stake) from example_bets)",
        "(select count(*) from example_bets)",
        "(select count(distinct uuid) from example_bets)",
        "(select min(odds) from example_bets)",
        "(select max(odds) from example_bets)",
        "(select group_concat(uuid) from example_bets)",
        "(select row_number() over (order by uuid) from example_bets limit 1)",
        "(select sum(stake) over (partition by customer_uuid order by create_time rows between 1 \
          preceding and current row) from example_bets limit 1)",
        "(select lag(stake, 1) over (order by create_time) from example_bets limit 1)",
        "(select rank() over w from example_bets window w as (order by uuid) limit 1)",
        "exists (select 1 from example_bets)",
        "1 in (select 1 from example_bets)",
        "not (1)",
        "1 between (0) and (2)",
        "'a' like ('a%')",
        "date('2024-01-01')",
        "unix_timestamp()",
        "from_unixtime(0)",
        "now() - interval (1 + 1) day",
        "(with r(i, j) as (select 1, 2) select i + j from r)",
        "(with a as (select 1 as x), b (y) as (select x from a) select y from b)",
    ];
    let mysql = [
        "if(1, 2, 3)",
        "greatest(1, 2)",
        "least(1, 2)",
        "mod(5, 3)",
        "5 div (2)",
        "char(65)",
        "left('abc', 1)",
        "right('abc', 1)",
        "lpad('a', 3, 'x')",
        "repeat('a', 3)",
        "reverse('ab')",
        "date_format('2024-01-01', '%Y')",
        "date_add('2024-01-01', interval 1 day)",
        "timestampdiff(second, '2024-01-01', '2024-01-02')",
        "extract(year from '2024-01-01')",
        "cast(1 as decimal(10, 2))",
        "cast('2024-01-01' as datetime(6))",
        "cast(1 as char(10))",
        "convert('a' using utf8mb4)",
        "convert(1, decimal(10, 2))",
        "position('b' in 'abc')",
        "substring('abc' from 2 for 1)",
        "substring_index('a,b', ',', 1)",
        "field('a', 'b', 'a')",
        "find_in_set('a', 'b,a')",
        "interval(3, 1, 5)",
        "1 = any (select 1)",
        "1 > all (select 2)",
        "`abs`(-1)",
        "values_are.x from (select 1 as x) values_are",
        "(select stddev_samp(stake) from example_bets)",
        "json_value('{\"a\":1}', '$.a')",
        "json_unquote(json_extract('{\"a\":\"b\"}', '$.a'))",
        "regexp_replace('abc', 'b', 'x')",
        "(select j.v from json_table('[1]', '$[*]' columns (v int path '$')) as j)",
        "(select group_concat(distinct uuid order by uuid separator ';') from example_bets)",
        "(select d.x from (select 1 as x) d)",
        "(select 1 from dual)",
        "md5('a')",
        "inet_aton('1.2.3.4')",
        "unix_timestamp('2024-01-01')",
        "truncate(1.25, 1)",
        "ceiling(1.5)",
        "pow(2, 3)",
        "rand(1)",
        "(select 1 from example_bets use index (primary) limit 1)",
    ];
    let sqlite = [
        "iif(1, 2, 3)",
        "max(1, 2)",
        "min(1, 2)",
        "typeof(1)",
        "printf('%05d', 3)",
        "format('%s', 1)",
        "strftime('%Y', 0, 'unixepoch')",
        "datetime(0, 'unixepoch')",
        "julianday('2024-01-01')",
        "unicode('a')",
        "char(65)",
        "quote('a')",
        "zeroblob(2)",
        "total(1)",
        "random()",
        "'a' glob 'a*'",
        "json('{}')",
        "'{\"a\":1}' -> '$.a'",
        "'{\"a\":1}' ->> '$.a'",
        "(select value from json_each('[1]'))",
        "(select count(*) from json_tree('{}'))",
        "(select json_group_array(uuid) from example_bets)",
        "(select string_agg(uuid, ',') from example_bets)",
        "(select count(*) filter (where odds > 1) from example_bets)",
        "(select ntile(2) over (order by uuid) from example_bets)",
        "\"abs\"(-1)",
        "likely(1)",
        "(with recursive r(i) as (select 1 union all select i + 1 from r where i < 3) select sum(i) from r)",
        "(with r as materialized (select 1 as i) select count(*) from r)",
    ];
    let more: &[&str] = match place.kind {
        Kind::Mariadb => &mysql,
        _ => &sqlite,
    };
    for call in both.iter().chain(more) {
        let sql = if call.contains(" from (select") && !call.starts_with('(') {
            format!("select {call}")
        } else {
            format!("select {call} as shown")
        };
        ask(&mut *store, &db, &sql, Timestamp::from_secs(5))
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

fn a_query_reads_declared_tables_alone(place: &Place) {
    let db = filled(place);
    let hidden = hidden(place);
    for sql in [
        "select * from {}",
        "select count(*) as n from {}",
        "select 1 as one from {}",
        "select (select count(*) from {}) as n from example_bets",
        "select uuid from example_bets where exists (select 1 from {})",
        "select uuid from example_bets where uuid in (select 'x' from {})",
        "select b.uuid from example_bets b join {} on true",
        "select b.uuid from example_bets b, {}",
        "select b.uuid from example_bets b left join {} on false",
        "select uuid from example_bets union select 'x' from {}",
        "with x as (select 1 as one from {}) select one from x",
        "select d.one from (select 1 as one from {}) as d",
    ] {
        let sql = sql.replace("{}", hidden);
        let message = refused(&db, &sql);
        assert!(
            message.contains(&format!("table \"{hidden}\" is not declared")),
            "{sql}: {message}"
        );
    }
    assert_eq!(
        refused(&db, &format!("select count(*) as n\nfrom {hidden}")),
        format!(
            "bad query: table \"{hidden}\" is not declared at line 2, column 6; declare it with \
             create_table, or name it among what the query reads: reads = {{\"{hidden}\"}}"
        )
    );
    // Children are declared with their parents.
    db.prepare("select game_id from example_selections")
        .unwrap();
    if place.kind != Kind::Memory {
        let message = refused(&db, "select word from shown");
        assert!(
            message.contains("table \"shown\" is not declared"),
            "{message}"
        );
    }
}

fn tables_and_views_that_are_named_are_read_too(place: &Place) {
    if place.kind == Kind::Memory {
        return;
    }
    let closed = filled(place);
    let db = closed.clone().with_reads(["rates"]).unwrap();
    let mut store = db.connect().unwrap();
    assert_eq!(one(&mut *store, &db, "select rate from rates"), json!(2.0));
    refused(&closed, "select rate from rates");
    refused(&db, "select word from unlisted");
    // What a view reads is the view's.
    let db = closed
        .clone()
        .with_reads(["shown", "counted", "nested", "with_own"])
        .unwrap();
    for sql in [
        "select word from shown",
        "select word from nested",
        "select word from with_own",
        "select s.word from shown as s where s.word = 'hidden'",
        "select word from (select word from shown) as d",
        "with x as (select word from nested) select word from x",
    ] {
        assert_eq!(one(&mut *store, &db, sql), json!("hidden"), "{sql}");
    }
    assert_eq!(one(&mut *store, &db, "select one from counted"), json!(1));
    assert_eq!(
        one(&mut *store, &db, "select count(*) as n from nested"),
        json!(1)
    );
    for sql in [
        "select word from unlisted",
        "select a.word from shown as a join unlisted as b on a.word = b.word",
        "with shown as (select word from unlisted) select word from shown",
        "with c as (select word from unlisted) select c.word from c, with_own",
    ] {
        refused(&db, sql);
    }
    let message = closed.clone().with_reads(["rate"]).unwrap_err().to_string();
    assert_eq!(
        message,
        "reads: there is no table or view \"rate\" in the database; did you mean \"rates\"?"
    );
    if place.kind == Kind::Mariadb {
        let database = place.url.rsplit('/').next().unwrap();
        let db = closed.clone().with_reads(["rates"]).unwrap();
        let sql = format!("select rate from {database}.rates");
        assert_eq!(one(&mut *store, &db, &sql), json!(2.0));
        let other = Place::mariadb();
        other.execute("create table afar (x int)");
        other.execute("insert into afar values (7)");
        let there = format!("{}.afar", other.url.rsplit('/').next().unwrap());
        let sql = format!("select x from {there}");
        let message = refused(&db, &sql);
        assert!(
            message.contains(&format!("table \"{there}\" is not declared")),
            "{message}"
        );
        let db = closed.clone().with_reads([there]).unwrap();
        assert_eq!(one(&mut *store, &db, &sql), json!(7));
    }
}

/// What each database has of itself.
fn of_the_database(place: &Place) -> &'static [&'static str] {
    match place.kind {
        Kind::Mariadb => &[
            "mysql.user",
            "`mysql`.`user`",
            "MySQL.user",
            "mysql . global_priv",
            "information_schema.tables",
            "INFORMATION_SCHEMA.PROCESSLIST",
            "performance_schema.accounts",
            "sys.version",
        ],
        _ => &[
            "sqlite_master",
            "sqlite_schema",
            "main.sqlite_schema",
            "sqlite_temp_schema",
            "pragma_database_list",
            "pragma_table_info('example_bets')",
            "pragma_compile_options",
            "\"pragma_function_list\"",
            "dbstat",
        ],
    }
}

fn what_belongs_to_the_database_is_never_read(place: &Place) {
    let db = filled(place);
    for name in of_the_database(place) {
        for sql in [
            "select * from {}",
            "select count(*) as n from {}",
            "select uuid from example_bets where exists (select 1 from {})",
            "select b.uuid from example_bets b join {} on true",
        ] {
            let sql = sql.replace("{}", name);
            let message = refused(&db, &sql);
            assert!(
                message.contains("is of the database itself and cannot be read")
                    || message.contains("no such table")
                    || message.contains("doesn't exist"),
                "{sql}: {message}"
            );
        }
    }
    let named = match place.kind {
        Kind::Mariadb => ["mysql.user", "information_schema.tables"],
        _ => ["sqlite_schema", "pragma_database_list"],
    };
    for name in named {
        let message = db.clone().with_reads([name]).unwrap_err().to_string();
        assert!(message.contains("is of the database itself"), "{message}");
    }
}

fn a_query_of_its_own_hides_no_table(place: &Place) {
    let db = filled(place);
    let hidden = hidden(place);
    for sql in [
        "with {} as (select 1 as one) select (select count(*) from {}) as n",
        "select (with {} as (select 1 as one) select one from {}) as x, (select count(*) from {}) as n",
    ] {
        refused(&db, &sql.replace("{}", hidden));
    }
    if place.kind != Kind::Mariadb {
        refused(
            &db,
            "select (with sqlite_schema as (select 1 as one) select one from sqlite_schema) as x, \
             (select count(*) from sqlite_schema) as n",
        );
    }
    db.prepare("with x as (select 1 as one) select count(*) as n from x")
        .unwrap();
    db.prepare("with x as (select 1 as one), y as (select one from x) select 1 as z from y")
        .unwrap();
}

fn a_query_that_the_parser_does_not_know_reads_no_more(place: &Place) {
    let db = filled(place);
    let hidden = hidden(place);
    let (known, unknown) = match place.kind {
        Kind::Mariadb => (
            "select date_format('2020-01-01' - interval '1:30' minute_second, '%Y') as y from example_bets",
            "select date_format('2020-01-01' - interval '1:30' minute_second, '%Y') as y from {}",
        ),
        _ => (
            "select uuid from example_bets not indexed",
            "select 1 as one from {} not indexed",
        ),
    };
    db.prepare(known).unwrap();
    let message = refused(&db, &unknown.replace("{}", hidden));
    assert!(message.contains("is not declared"), "{message}");
    if place.kind == Kind::Mariadb {
        for name in [
            "mysql.user",
            "information_schema.tables",
            "performance_schema . accounts",
        ] {
            let message = refused(&db, &unknown.replace("{}", name));
            assert!(message.contains("is of the database itself"), "{message}");
        }
    }
}

fn a_sql_source_reads_the_tables_of_its_user_and_nothing_of_the_database(place: &Place) {
    if place.kind == Kind::Memory {
        return;
    }
    filled(place);
    let url = format!("sql:{}", place.url);
    let opened = |query: &str| -> tributary::Result<()> {
        let options = Options::new()
            .with("query", query)
            .with("cursor", "c")
            .with("start", 0);
        let network = Network::new();
        network.add_source("rows", connect::source(&url, &options)?)?;
        network.add_sink("out", sink::handler(|_| Ok(())))?;
        network.link("rows", "out")?;
        network.fail_fast(true);
        network.start()?;
        network.stop()
    };
    let sql = "select rate as c from rates where rate > :cursor order by rate";
    opened(sql).unwrap();
    opened("select length(word) as c from shown where length(word) > :cursor order by 1").unwrap();
    let act = match place.kind {
        Kind::Mariadb => "`load_file`('/etc/hostname')",
        _ => "load_extension('x')",
    };
    let sql = format!("select rate as c, {act} as x from rates where rate > :cursor order by rate");
    let message = opened(&sql).unwrap_err().to_string();
    assert!(message.contains("cannot be called"), "{message}");
    let system = of_the_database(place)[0];
    let sql = format!("select 1 as c from {system} where 1 > :cursor order by 1");
    let message = opened(&sql).unwrap_err().to_string();
    assert!(message.contains("is of the database itself"), "{message}");
}

const NET: &str = "\
local tb = require('tributary')
tb.create_table('t', { key = 'k', columns = { k = 'integer', at = 'integer', currency = 'text' } })
tb.create_stdin('in')
";

#[test]
fn every_constructor_of_a_window_takes_what_its_query_reads()
-> Result<(), Box<dyn std::error::Error>> {
    let joined = "'select count(*) as n, max(r.rate) as rate from t, rates as r where t.currency = r.currency'";
    for made in [
        format!("tb.query_window('w', {joined} OPTIONS)"),
        format!(
            "tb.window('w', 'w_out', {{ query = {joined}, table = 't', time = 'at', size = '10s', reads = READS }})"
        ),
        format!("tb.sliding_window_time('w', 'w_out', {joined}, 't', '10s', 'at' OPTIONS)"),
        format!("tb.sliding_window_count('w', 'w_out', {joined}, 't', 10 OPTIONS)"),
        format!("tb.tumbling_window('w', 'w_out', {joined}, 't', '10s', 'at' OPTIONS)"),
        format!("tb.hopping_window('w', 'w_out', {joined}, 't', '10s', '5s', 'at' OPTIONS)"),
    ] {
        let with = made
            .replace(" OPTIONS", ", { reads = { 'rates' } }")
            .replace("READS", "'rates'");
        let without = made.replace(" OPTIONS", "").replace("READS", "nil");
        let site = Site::with(&[
            ("with.lua", &format!("{NET}{with}\ntb.link('in', 'w')")),
            (
                "without.lua",
                &format!("{NET}{without}\ntb.link('in', 'w')"),
            ),
        ])?;
        rusqlite::Connection::open(site.path("t.db"))?
            .execute_batch("create table rates (currency text, rate real)")?;
        let call = |script: &str| site.call(&["check", script, "--db", "sqlite:t.db"]);
        let done = call("with.lua")?;
        assert_eq!(done.code, Some(0), "{with}: {}", done.stderr);
        let done = call("without.lua")?;
        assert_eq!(done.code, Some(65), "{without}: {}", done.stderr);
        assert!(done.stderr.contains("without.lua:4: "), "{}", done.stderr);
        assert!(
            done.stderr
                .contains("bad query: table \"rates\" is not declared"),
            "{}",
            done.stderr
        );
        assert!(
            done.stderr.contains("reads = {\"rates\"}"),
            "{}",
            done.stderr
        );
    }
    let wrong =
        "tb.sliding_window_count('w', 'w_out', 'select 1 as one', 't', 10, { raeds = 't' })";
    let site = Site::with(&[("net.lua", &format!("{NET}{wrong}"))])?;
    let done = site.call(&["check", "net.lua"])?;
    assert!(
        done.stderr
            .contains("there is no option raeds: the only one is reads"),
        "{}",
        done.stderr
    );
    Ok(())
}

#[test]
fn a_declared_table_of_another_name_is_suggested() {
    let db = Database::open("sqlite::memory:").unwrap();
    db.declare(Table::new("orders").integer("n")).unwrap();
    let message = refused(&db, "select n from order_s");
    assert!(message.ends_with("did you mean \"orders\"?"), "{message}");
}
