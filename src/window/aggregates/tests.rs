//! What each aggregate promises, for all of them.

use super::*;

fn of(function: AggregateFunction, values: &[Datum]) -> AnyAccumulator {
    let mut accumulator = function.accumulator(true);
    values.iter().for_each(|value| accumulator.update(value));
    accumulator
}

fn values() -> Vec<Datum> {
    let whole = [3, -7, 3, 12, 0].map(Datum::Integer);
    let real = [0.1, 1e300, -2.5].map(Datum::Real);
    whole.into_iter().chain(real).chain([Datum::Null]).collect()
}

#[test]
fn a_value_that_is_retracted_leaves_nothing_behind() {
    let values = values();
    for function in AggregateFunction::ALL {
        for kept in 0..=values.len() {
            let mut accumulator = of(*function, &values);
            for value in &values[kept..] {
                accumulator.retract(value);
            }
            assert_eq!(
                accumulator.evaluate().unwrap(),
                of(*function, &values[..kept]).evaluate().unwrap(),
                "{function:?} of the first {kept}"
            );
        }
    }
}

#[test]
fn accumulators_that_are_merged_have_the_value_of_all_rows() {
    let values = values();
    for function in AggregateFunction::ALL {
        for first in 0..=values.len() {
            let mut accumulator = of(*function, &values[..first]);
            accumulator.merge(of(*function, &values[first..]));
            assert_eq!(
                accumulator.evaluate().unwrap(),
                of(*function, &values).evaluate().unwrap(),
                "{function:?} of {first} and the rest"
            );
        }
    }
}

#[test]
fn null_is_no_value_to_an_aggregate() {
    for function in AggregateFunction::ALL {
        let mut accumulator = of(*function, &[Datum::Integer(5)]);
        let before = accumulator.evaluate().unwrap();
        accumulator.update(&Datum::Null);
        assert_eq!(accumulator.evaluate().unwrap(), before, "{function:?}");
        accumulator.retract(&Datum::Null);
        assert_eq!(accumulator.evaluate().unwrap(), before, "{function:?}");
    }
}

#[test]
fn an_aggregate_is_found_by_its_name_and_distinct() {
    for (name, distinct, found) in [
        ("count", false, Some(AggregateFunction::Count)),
        ("count", true, Some(AggregateFunction::CountDistinct)),
        ("sum", false, Some(AggregateFunction::Sum)),
        ("sum", true, None),
        ("min", true, Some(AggregateFunction::Min)),
        ("total", false, None),
    ] {
        assert_eq!(AggregateFunction::find(name, distinct), found, "{name}");
    }
}
