//! Texts are compared by their bytes, on both databases and under every plan: by `=`, by LIKE, in
//! groups and in order.

use crate::support::databases::{Kind, Place};
use crate::support::window_bench::{Bench, PLANS, START, declared, sliding};
use serde_json::{Value, json};
use tributary::window::{Emit, Plan, Window};

crate::over_all_databases! {
    like_is_case_sensitive
    a_backslash_in_a_pattern_is_the_escape_character
    what_one_database_alone_has_is_refused_by_the_other
}

/// How many rows a condition lets through, under each plan that serves.
fn counted(place: &Place, condition: &str, texts: &[&str]) -> Vec<i64> {
    let sql = format!("select n, count(*) as c from things where {condition} group by n");
    let counted = |plan: Plan| {
        let database = declared(&place.another());
        let options = sliding(&sql).emit(Emit::Touched).plan(plan);
        let mut bench = Bench::new(&database, options);
        for (number, text) in texts.iter().enumerate() {
            let k = number.to_string();
            bench.send(json!({"k": k, "t": START, "g": text, "v": 0.5, "n": 1}));
        }
        assert_eq!(bench.errors(), [] as [String; 0], "{condition}");
        let last = bench.out().pop();
        last.map_or(0, |row| row["c"].as_i64().unwrap())
    };
    PLANS.into_iter().map(counted).collect()
}

fn like_is_case_sensitive(place: &Place) {
    let texts = ["Apple", "apple", "APPLE", "Äpfel", "äpfel", "apple "];
    for (condition, right) in [
        ("g like 'a%'", 2),
        ("g like 'A%'", 2),
        ("g like '_pple'", 2),
        ("g not like 'a%'", 4),
        ("g like 'ä%'", 1),
        ("g like '_pfel'", 2),
        ("lower(g) like 'a%'", 4),
        ("g like 'apple'", 1),
        ("g = 'apple'", 1),
        ("g in ('apple', 'APPLE')", 2),
        ("g >= 'a' and g < 'b'", 2),
        ("case when g like 'A%' then 1 else 0 end = 1", 2),
    ] {
        assert_eq!(counted(place, condition, &texts), [right; 3], "{condition}");
    }
    let sql = "select g, min(g) as l, count(*) as c from things group by g order by g";
    for plan in [Plan::Requery, Plan::Incremental] {
        let database = declared(&place.another());
        let mut bench = Bench::new(&database, sliding(sql).emit(Emit::All).plan(plan));
        for (number, text) in texts.iter().enumerate() {
            bench.send(json!({"k": number.to_string(), "t": START, "g": text}));
        }
        let out = bench.out();
        let last: Vec<&Value> = out[out.len() - texts.len()..]
            .iter()
            .map(|row| &row["g"])
            .collect();
        let mut right = texts;
        right.sort_unstable();
        assert_eq!(last, right, "{plan}");
    }
}

fn a_backslash_in_a_pattern_is_the_escape_character(place: &Place) {
    let texts = ["50%", "50x", "5_", "5x", "a!b"];
    for (condition, right) in [
        (r"g like '50\%'", 1),
        (r"g like '5\_'", 1),
        ("g like '5_'", 2),
        ("g like '50!%' escape '!'", 1),
        ("g like 'a!b'", 1),
    ] {
        assert_eq!(counted(place, condition, &texts), [right; 3], "{condition}");
    }
}

fn what_one_database_alone_has_is_refused_by_the_other(place: &Place) {
    let condition = match place.kind {
        Kind::Mariadb => "g glob 'a*'",
        Kind::Memory | Kind::File => "g regexp '^a'",
    };
    let sql = format!("select g from things where {condition}");
    let refused = Window::new(&declared(&place.another()), &sliding(&sql)).err();
    assert!(refused.is_some(), "{condition}");
}
