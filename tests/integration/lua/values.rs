//! Values between Lua and the host: nothing is rounded and nothing becomes nil in silence.

use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use tributary::{Network, Result, Runtime};

/// A runtime with `echo(value)`, and what it was given as JSON text.
fn echo() -> Result<(Runtime, Rc<RefCell<Vec<String>>>)> {
    let runtime = Runtime::new(&Network::new())?;
    let given = Rc::new(RefCell::new(Vec::new()));
    let keep = given.clone();
    runtime.export("echo", move |args| {
        let value = args.json(1)?;
        keep.borrow_mut().push(value.to_string());
        Ok(value)
    })?;
    Ok((runtime, given))
}

fn run(body: &str) -> Result<Vec<String>> {
    let (runtime, given) = echo()?;
    runtime.run_text(
        "v.lua",
        format!("local echo = require('tributary').echo {body}"),
    )?;
    let given = given.borrow().clone();
    Ok(given)
}

#[test]
fn whole_numbers_keep_all_their_64_bits() -> Result<()> {
    let numbers = [
        "9007199254740993",
        "-9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "0",
    ];
    for number in numbers {
        // The least integer has no literal of its own.
        let literal = match number {
            "-9223372036854775808" => "math.mininteger",
            other => other,
        };
        let body = format!(
            "local n = {literal} local back = echo(n) \
             assert(back == n and math.type(back) == 'integer')"
        );
        assert_eq!(run(&body)?, [number]);
    }
    Ok(())
}

#[test]
fn a_float_stays_a_float_also_where_it_is_whole() -> Result<()> {
    let body = "for _, n in ipairs({1.0, 0.1, -0.0, 1e300}) do \
                assert(math.type(echo(n)) == 'float') end";
    assert_eq!(run(body)?, ["1.0", "0.1", "-0.0", "1e+300"]);
    Ok(())
}

#[test]
fn what_json_cannot_represent_is_an_error() {
    for (value, wanted) in [
        ("0/0", "has no form in JSON"),
        ("1/0", "the number inf has no form in JSON"),
        ("-1/0", "the number -inf has no form in JSON"),
        ("1e400", "the number inf has no form in JSON"),
        ("{deep = {0/0}}", "has no form in JSON"),
        ("print", "a value of type function has no form in JSON"),
        (
            "coroutine.create(print)",
            "a value of type thread has no form in JSON",
        ),
        (
            r#""\xff""#,
            "a string that is not UTF-8 has no form in JSON",
        ),
        (
            r#"{["\xff"] = 1}"#,
            "a key that is not UTF-8 has no form in JSON",
        ),
        (
            "{1, 2, a = 3}",
            "a table with both numbers and names has no form in JSON",
        ),
        (
            "{[true] = 1}",
            "a table key of type boolean has no form in JSON",
        ),
        (
            "{[1.5] = 1}",
            "a table key of type number has no form in JSON",
        ),
        (
            "{[2^53] = 1}",
            "numbers, but not 1 to n, has no form in JSON",
        ),
        ("{[0] = 1}", "numbers, but not 1 to n, has no form in JSON"),
        (
            "{[-1] = 1, 2}",
            "numbers, but not 1 to n, has no form in JSON",
        ),
    ] {
        let error = run(&format!("\necho({value})")).expect_err(value);
        let text = error.to_string();
        let begin = "v.lua:2: bad argument #1 to echo: ";
        assert!(
            text.starts_with(begin) && text.ends_with(wanted),
            "{value}: {text}"
        );
    }
}

#[test]
fn a_table_that_contains_itself_ends_in_an_error() {
    let error = run("local t = {} t.t = t echo(t)").expect_err("endless");
    assert!(
        error.message().ends_with("a table nested deeper than 127"),
        "{error}"
    );
}

#[test]
fn a_list_with_holes_is_never_taken_for_a_longer_one() {
    // Lua finds the length of such a table by doubling: it would be 2^62.
    let powers: String = (2..=62)
        .map(|bit| format!("[{}] = 1,", 1u64 << bit))
        .collect();
    let body = format!("local t = {{[1] = 1, [2] = 1, {powers}}} echo(t)");
    let error = run(&body).expect_err("no list");
    assert!(error.message().ends_with("has no form in JSON"), "{error}");
}

#[test]
fn tables_become_lists_and_objects_and_come_back() -> Result<()> {
    let body = r#"
        local t = echo({list = {1, 2, {a = "b"}}, text = "é\"", yes = true, empty = {}})
        assert(t.list[3].a == "b" and #t.list == 3 and t.text == "é\"" and t.yes == true)
        assert(next(t.empty) == nil)
        assert(echo(nil) == nil)
        assert(#echo({1, nil, 3}) == 3)
    "#;
    let object = r#"{"empty":{},"list":[1,2,{"a":"b"}],"text":"é\"","yes":true}"#;
    assert_eq!(run(body)?, [object, "null", "[1,null,3]"]);
    Ok(())
}

#[test]
fn what_a_host_returns_arrives_whole_or_not_at_all() -> Result<()> {
    let (runtime, _) = echo()?;
    runtime.export("big", |_| Ok(Value::from(u64::MAX)))?;
    runtime.export("many", |_| {
        Ok(json!({"id": i64::MIN, "rows": [{"n": 1.5}, null]}))
    })?;
    runtime.run_text(
        "v.lua",
        r#"
        local many = require("tributary").many()
        assert(many.id == math.mininteger and many.rows[1].n == 1.5 and many.rows[2] == nil)
        "#,
    )?;
    let error = runtime
        .run_text("big.lua", "\nlocal n = require('tributary').big()")
        .expect_err("it does not fit");
    assert_eq!(
        error.to_string(),
        "big.lua:2: 18446744073709551615 is too large for an integer of Lua"
    );
    Ok(())
}

#[test]
fn arguments_are_checked_by_kind_and_number() -> Result<()> {
    let runtime = Runtime::new(&Network::new())?;
    runtime.export("kinds", |args| {
        args.at_most(4)?;
        args.string(1)?;
        args.integer(2)?;
        args.number(3)?;
        args.boolean(4).map(Value::from)
    })?;
    for (call, wanted) in [
        ("", "bad argument #1 to kinds: string expected, got nothing"),
        (
            "1",
            "bad argument #1 to kinds: string expected, got number 1",
        ),
        (
            "'a', 1.5",
            "bad argument #2 to kinds: integer expected, got number 1.5",
        ),
        (
            "'a', '1'",
            "bad argument #2 to kinds: integer expected, got \"1\"",
        ),
        (
            "'a', 2^40, {}",
            "bad argument #3 to kinds: number expected, got table",
        ),
        (
            "'a', 1, 2",
            "bad argument #4 to kinds: boolean expected, got nothing",
        ),
        (
            "'a', 1, 2, nil",
            "bad argument #4 to kinds: boolean expected, got nil",
        ),
        (
            "'a', 1, 2, true, 5",
            "too many arguments to kinds: 4 at most, got 5",
        ),
        (
            r"'\xff'",
            "bad argument #1 to kinds: a string in UTF-8 expected, got \"\u{fffd}\"",
        ),
    ] {
        let text = format!("require('tributary').kinds({call})");
        let error = runtime.run_text("k.lua", text).expect_err(call);
        assert_eq!(error.to_string(), format!("k.lua:1: {wanted}"));
    }
    Ok(())
}
