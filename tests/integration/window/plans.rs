//! Every plan answers as `requery` does, whatever comes.
//!
//! Random streams (equal, late and backward times, keys that come again with the same and with
//! other content, NULLs, clocks that jump, deliveries that fail) go through the same network once
//! for each plan that serves a random query, each over a database of its own. What leaves the
//! window in each step must be what leaves it under `requery`. A share of the cases go through a file
//! as well, some with a restart in the middle, and answer as they do in memory. `TRIBUTARY_SEED`
//! repeats a run, and `TRIBUTARY_CASES` says how many cases there are of each family.
//!
//! - `query` — the queries; `case` — the streams and the windows; `run` — one case, one plan.
//! - `sessions` — the same for sessions, against a model of them.

mod case;
mod query;
mod run;
mod sessions;

use crate::support::databases::Place;
use case::{Case, Family, Op, case};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use run::{Way, difference, run};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use tributary::window::Plan;

/// How many cases there are of each family over SQLite, and over MariaDB.
const CASES: (u32, u32) = (750, 75);

const REFERENCE: Way = Way {
    plan: Plan::Requery,
    store: true,
    verify: 0.0,
    restarts: false,
    replaces: false,
};
const KEYED: Way = Way {
    plan: Plan::Keyed,
    verify: 1.0,
    ..REFERENCE
};
const INCREMENTAL: Way = Way {
    plan: Plan::Incremental,
    store: false,
    ..REFERENCE
};
const STORED: Way = Way {
    store: true,
    verify: 1.0,
    ..INCREMENTAL
};

/// How often each way was taken.
type Taken = BTreeMap<&'static str, u32>;

/// Runs a case over all plans; says where one answers otherwise.
fn compare(
    case: &Case,
    ways: &[(&'static str, Way, Place)],
    taken: &mut Taken,
) -> Result<(), String> {
    let Some(((_, first, place), others)) = ways.split_first() else {
        return Ok(());
    };
    let right = run(case, *first, place)?;
    let mut served = false;
    for (name, way, place) in others {
        let Ok(ours) = run(case, *way, place) else {
            continue;
        };
        *taken.entry(name).or_default() += 1;
        served |= way.plan != first.plan;
        if way.replaces {
            *taken.entry("replaced").or_default() += 1;
        }
        if way.restarts && case.restart.is_some() {
            *taken.entry("restarts").or_default() += 1;
        }
        if let Some(difference) = difference(case, way.plan, &right, &ours) {
            return Err(format!(
                "{name} answers otherwise {difference}\n{}",
                case.shape.sql()
            ));
        }
    }
    if served {
        *taken.entry("pairs").or_default() += 1;
    }
    Ok(())
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs many cases; how often which way was taken is what comes out.
fn many<C: Debug>(
    strategy: impl Strategy<Value = C>,
    cases: u32,
    test: impl Fn(&C, &mut Taken) -> Result<(), String>,
) -> Taken {
    let seed = number("TRIBUTARY_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    eprintln!("TRIBUTARY_SEED={seed}");
    let cases = number("TRIBUTARY_CASES").map_or(cases, |cases| cases as u32);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 600,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let taken = RefCell::new(Taken::new());
    let outcome = runner.run(&strategy, |case| {
        test(&case, &mut taken.borrow_mut()).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => taken.into_inner(),
        Err(TestError::Fail(why, case)) => {
            panic!("TRIBUTARY_SEED={seed}: {why}\n{case:?}")
        }
        Err(TestError::Abort(why)) => panic!("TRIBUTARY_SEED={seed}: {why}"),
    }
}

/// All ways over SQLite in memory; for a share of the cases over a file, held against memory.
fn on_sqlite(case: &Case) -> Vec<(&'static str, Way, Place)> {
    if case.is_filed() {
        vec![
            ("requery", REFERENCE, Place::memory()),
            ("requery, file", restarting(REFERENCE), Place::file()),
            ("keyed, file", restarting(KEYED), Place::file()),
            ("incremental, file", restarting(INCREMENTAL), Place::file()),
        ]
    } else {
        vec![
            ("requery", REFERENCE, Place::memory()),
            ("keyed", KEYED, Place::memory()),
            ("incremental", INCREMENTAL, Place::memory()),
            ("incremental, stored", STORED, Place::memory()),
        ]
    }
}

fn on_mariadb(_: &Case) -> Vec<(&'static str, Way, Place)> {
    vec![
        ("requery", REFERENCE, Place::mariadb()),
        ("keyed", restarting(KEYED), Place::mariadb()),
        ("incremental", restarting(INCREMENTAL), Place::mariadb()),
    ]
}

/// The same, with a restart where the case has one.
fn restarting(way: Way) -> Way {
    Way {
        restarts: true,
        ..way
    }
}

/// The same, with a window that is replaced by its like.
fn replacing(way: Way) -> Way {
    Way {
        replaces: true,
        ..way
    }
}

/// Each way as it is, and with a window that is replaced.
fn replaced_and_not(
    ways: [(&'static str, Way); 4],
    place: impl Fn() -> Place,
) -> Vec<Vec<(&'static str, Way, Place)>> {
    let pair = |(name, way): (&'static str, Way)| {
        vec![(name, way, place()), (name, replacing(way), place())]
    };
    ways.map(pair).into()
}

/// Holds a family to it that a window which is replaced by its like goes on as if it had not been.
fn goes_on(family: Family, cases: u32, place: impl Fn() -> Place) {
    let ways = [
        ("requery", REFERENCE),
        ("keyed", KEYED),
        ("incremental", INCREMENTAL),
        ("incremental, stored", STORED),
    ];
    let taken = many(case(family), cases, |case, taken| {
        // How long links have been idle counts whenever the node is called, also when it is replaced. Where
        // the clock is set back afterwards, a call at that moment makes a difference by itself.
        let back = |op: &Op| matches!(op, Op::Clock(by) if *by < 0);
        let mut case = case.clone();
        if case.ops.iter().any(back) {
            case.idle = None;
        }
        let case = &case;
        let mut pairs = replaced_and_not(ways, &place).into_iter();
        pairs.try_for_each(|pair| match compare(case, &pair, taken) {
            Err(why) if why.starts_with("plan ") => Ok(()),
            compared => compared,
        })
    });
    eprintln!("{family:?}: {taken:?}");
    if number("TRIBUTARY_CASES").is_none() {
        at_least(&taken, &[("replaced", cases * 2)]);
    }
}

/// Holds a family to it, and to the shares that make the comparison worth something.
fn agrees(
    family: Family,
    cases: u32,
    ways: impl Fn(&Case) -> Vec<(&'static str, Way, Place)>,
) -> Taken {
    let taken = many(case(family), cases, |case, taken| {
        compare(case, &ways(case), taken)
    });
    eprintln!("{family:?}: {taken:?}");
    if number("TRIBUTARY_CASES").is_none() {
        let least = [
            ("pairs", cases * 9 / 10),
            ("keyed", cases / 4),
            ("incremental", cases / 2),
        ];
        at_least(&taken, &least);
    }
    taken
}

fn at_least(taken: &Taken, least: &[(&str, u32)]) {
    for (name, least) in least {
        let of = taken.get(name).copied().unwrap_or_default();
        assert!(of >= *least, "{name} {least}: {taken:?}");
    }
}

/// The same, and that files and restarts had their share.
fn agrees_on_sqlite(family: Family) {
    let taken = agrees(family, CASES.0, on_sqlite);
    if number("TRIBUTARY_CASES").is_none() {
        let restarts = match family {
            Family::Count => 0,
            Family::Sliding | Family::Hopping => CASES.0 / 16,
        };
        let least = [("requery, file", CASES.0 / 16), ("restarts", restarts)];
        at_least(&taken, &least);
    }
}

#[test]
fn every_plan_answers_as_requery_over_windows_that_slide() {
    agrees_on_sqlite(Family::Sliding);
}

#[test]
fn every_plan_answers_as_requery_over_the_last_rows() {
    agrees_on_sqlite(Family::Count);
}

#[test]
fn every_plan_answers_as_requery_over_windows_that_end() {
    agrees_on_sqlite(Family::Hopping);
}

#[test]
fn a_window_that_is_replaced_goes_on_as_if_it_had_not_been() {
    for family in [Family::Sliding, Family::Count, Family::Hopping] {
        goes_on(family, CASES.0 / 10, Place::memory);
        goes_on(family, CASES.1 / 5, Place::file);
    }
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn a_window_that_is_replaced_on_mariadb_goes_on_as_if_it_had_not_been() {
    for family in [Family::Sliding, Family::Count, Family::Hopping] {
        goes_on(family, CASES.1 / 5, Place::mariadb);
    }
}

#[test]
fn sessions_are_as_a_model_of_them_has_it() {
    many(sessions::case(), CASES.0, |case, _| {
        let place = match case.salt % 8 {
            0 => Place::file(),
            _ => Place::memory(),
        };
        sessions::compare(case, &place)
    });
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn every_plan_answers_as_requery_on_mariadb() {
    for family in [Family::Sliding, Family::Count, Family::Hopping] {
        agrees(family, CASES.1, on_mariadb);
    }
    many(sessions::case(), CASES.1, |case, _| {
        sessions::compare(case, &Place::mariadb())
    });
}
