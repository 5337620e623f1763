//! Each pitfall of keeping a query's answer up to date, by its number.
//!
//! The plans are held against each other at random in `plans`; here each trap is set on
//! purpose, over every plan and database that it is there for.

mod answers;
mod commits;
mod numbers;
mod others;
mod restarts;
mod sessions;
mod sharing;
mod times;

use crate::support::databases::Place;
use crate::support::window_bench::{PLANS, declared, sliding};
use tributary::Database;
use tributary::window::{Emit, Plan, Window, WindowOptions};

const SUM: &str = "select g, sum(v) as s from things group by g";

fn options(sql: &str, emit: Emit, plan: Plan) -> WindowOptions {
    sliding(sql).emit(emit).plan(plan)
}

/// Runs a test over every plan, each with a database of its own.
fn each_plan(place: &Place, test: impl Fn(&Database, Plan)) {
    for plan in PLANS {
        let place = place.another();
        test(&declared(&place), plan);
    }
}

fn why_not(database: &Database, options: &WindowOptions) -> String {
    let refused = Window::new(database, options).err();
    refused.expect("it is refused").to_string()
}
