//! What a script is told of its queries and tables, through the binary: the line, what the
//! database says, what there is instead, and exit code 65.

use crate::support::binary::Site;
use std::error::Error;

type Tested = Result<(), Box<dyn Error>>;

const HEAD: &str = "\
local tb = require('tributary')
tb.create_table('bets', { key = 'id', columns = { id = 'text', at = 'integer', note = 'text' } })
";

/// Checks a script that ends in this line, and compares the error.
fn refuses(site: &Site, line: &str, message: &str) -> Tested {
    std::fs::write(site.path("net.lua"), format!("{HEAD}{line}\n"))?;
    for verb in ["check", "graph", "run"] {
        site.call(&[verb, "net.lua"])?.expect(
            65,
            "",
            &format!("tributary: net.lua:3: {message}\n"),
        );
    }
    Ok(())
}

fn queries(cases: &[(&str, &str)]) -> Tested {
    let site = Site::with(&[])?;
    for (query, message) in cases {
        refuses(
            &site,
            &format!("tb.query_window('q', [[{query}]])"),
            message,
        )?;
    }
    Ok(())
}

#[test]
fn row_31_a_syntax_error_of_sql_is_refused_at_load_with_its_line() -> Tested {
    queries(&[
        ("select id from bets where", "bad query: incomplete input"),
        (
            "select id frm bets",
            "bad query: near \"bets\": syntax error at line 1, column 15",
        ),
    ])
}

#[test]
fn row_32_an_unknown_table_or_column_is_named_with_what_there_is() -> Tested {
    queries(&[
        (
            "select id from betts",
            "bad query: no such table: betts at line 1, column 16\n  hint: did you mean \"bets\"?",
        ),
        (
            "select id from somewhere",
            "bad query: no such table: somewhere at line 1, column 16\n  \
             hint: the declared tables are bets",
        ),
        (
            "select ad from bets",
            "bad query: no such column: ad at line 1, column 8\n  hint: did you mean \"at\"?",
        ),
    ])
}

#[test]
fn row_33_names_of_tables_keep_to_a_grammar_and_are_quoted() -> Tested {
    let site = Site::with(&[])?;
    let hint = "\n  hint: allowed is [A-Za-z_][A-Za-z0-9_]{0,63}";
    for name in ["x; drop table y", "a`b", "a\"b", ""] {
        refuses(
            &site,
            &format!("tb.create_table('{name}', {{ key = 'id', columns = {{ id = 'text' }} }})"),
            &format!("bad table name \"{name}\"{hint}"),
        )?;
    }
    let long = "a".repeat(65);
    refuses(
        &site,
        &format!("tb.create_table('{long}', {{ key = 'id', columns = {{ id = 'text' }} }})"),
        &format!("bad table name \"{long}\"{hint}"),
    )?;
    std::fs::write(
        site.path("order.lua"),
        "local tb = require('tributary')\n\
         tb.create_table('order', { key = 'group', columns = { group = 'text' } })\n\
         tb.create_window('kept', 'order')\n\
         tb.query_window('asked', 'select `group` from `order`')\n\
         tb.chain('in', 'kept', 'asked', 'out')\n",
    )?;
    let run = ["run", "order.lua", "--input", "in=-", "--output", "out=-"];
    site.feed(&run, "{\"group\":\"a\"}\n")?
        .expect(0, "{\"group\":\"a\"}\n", "");
    Ok(())
}

#[test]
fn row_34_a_query_is_one_select() -> Tested {
    let refused = "window queries must be one SELECT";
    let begins = |word: &str| format!("{refused}\n  hint: it begins with \"{word}\"");
    queries(&[
        ("insert into bets values ('a', 1, 'b')", &begins("insert")),
        ("delete from bets", &begins("delete")),
        ("drop table bets", &begins("drop")),
        ("attach 'x.db' as x", &begins("attach")),
        ("pragma user_version", &begins("pragma")),
        (
            "with a as (select 1) insert into bets select 1, 1, 1",
            refused,
        ),
        (
            "select 1; drop table bets",
            "window queries must be one SELECT\n  hint: there is more after a semicolon",
        ),
    ])
}

#[test]
fn row_36_two_columns_of_one_name_are_refused_with_the_way_out() -> Tested {
    queries(&[(
        "select id, note as id from bets",
        "bad query: two columns of the answer are called \"id\"\n  \
         hint: name one of them otherwise, with \"as\"",
    )])
}

#[test]
fn row_37_a_parameter_without_a_name_is_refused_and_one_that_the_event_has_not_is_named() -> Tested
{
    queries(&[(
        "select id from bets where id = ?",
        "bad query: a parameter without a name at line 1, column 32\n  hint: write :name",
    )])?;
    let site = Site::with(&[(
        "net.lua",
        &format!(
            "{HEAD}tb.query_window('q', 'select :note as note from bets where id = :id')\n\
             tb.chain('in', 'q', 'out')\n"
        ),
    )])?;
    let run = ["run", "net.lua", "--input", "in=-", "--output", "out=-"];
    let done = site.feed(&run, "{\"id\":7,\"note\":\"n\"}\n")?;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""));
    assert!(
        done.stderr.contains(":id must be text, this is 7"),
        "{}",
        done.stderr
    );
    Ok(())
}
