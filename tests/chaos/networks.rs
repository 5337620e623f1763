//! Random networks on real threads, ended at random times: none hangs, every account is exact, and
//! along each path everything arrives in order.

mod plan;
mod run;

use crate::seed::{Chance, seed};
use plan::{Plan, plans};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use run::run;
use tributary::Outcome;

fn claim(holds: bool, what: impl FnOnce() -> String) -> Result<(), TestCaseError> {
    if holds {
        Ok(())
    } else {
        Err(TestCaseError::fail(what()))
    }
}

fn check(plan: &Plan) -> Result<(), TestCaseError> {
    let ran = run(plan).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let stats = &ran.stats;
    claim(stats.breaches().is_empty(), || stats.breaches().join("\n"))?;
    for node in &stats.nodes {
        claim(node.held == 0, || {
            format!("{} holds {}", node.name, node.held)
        })?;
    }
    for link in &stats.links {
        let even = link.sent == link.received && link.queued == 0 && link.lost == 0;
        claim(even, || {
            format!("link {} -> {} is not even: {link:?}", link.from, link.to)
        })?;
    }
    let expected = plan.expected(&ran.sent);
    for (place, numbers) in &ran.arrivals {
        let flow = expected.arrivals.get(place);
        claim(flow.is_some(), || {
            format!("nothing may arrive at {place:?}")
        })?;
        let ascends = numbers.is_sorted_by(|a, b| a < b);
        claim(ascends, || {
            format!("out of order at {place:?}: {numbers:?}")
        })?;
    }
    for (place, flow) in &expected.arrivals {
        let none = Vec::new();
        let numbers = ran.arrivals.get(place).unwrap_or(&none);
        claim(!flow.exact || *numbers == flow.numbers, || {
            format!(
                "at {place:?} {:?} must arrive, not {numbers:?}",
                flow.numbers
            )
        })?;
    }
    for (at, sent) in &ran.sent {
        let tracked = matches!(
            plan.nodes[*at].kind,
            plan::Kind::Source { tracked: true, .. }
        );
        for number in (0..*sent).filter(|_| tracked) {
            let none = Vec::new();
            let told = ran.told.get(&(*at, number)).unwrap_or(&none);
            claim(told.len() == 1, || {
                format!("event {number} of n{at} was told {told:?}")
            })?;
            let fails = expected
                .failed
                .get(at)
                .is_some_and(|failed| failed.contains(&number));
            let right = if fails {
                Outcome::Failed
            } else {
                Outcome::Delivered
            };
            let known = !plan.is_timed() && !plan.forgets(*at);
            claim(!known || told[0] == right, || {
                format!("event {number} of n{at} was told {told:?}, not {right:?}")
            })?;
        }
    }
    Ok(())
}

fn networks(cases: u32) {
    let mut chance = Chance::new(seed("networks"));
    let bytes: Vec<u8> = (0..4).flat_map(|_| chance.next().to_le_bytes()).collect();
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let ran = std::cell::Cell::new((0, 0));
    let result = runner.run(&plans(), |plan| {
        let (runs, nodes) = ran.get();
        ran.set((runs + 1, nodes + plan.nodes.len()));
        check(&plan)
    });
    let (runs, nodes) = ran.get();
    println!("networks: {runs} with {nodes} nodes in all");
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn random_networks_lose_nothing_and_never_hang() {
    networks(100);
}

mod long {
    #[test]
    #[ignore = "takes minutes"]
    fn two_thousand_random_networks_lose_nothing_and_never_hang() {
        super::networks(2_000);
    }
}
