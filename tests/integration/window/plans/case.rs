//! A case: a stream of events with time between them, and the window that it goes through.

use super::query::{Shape, shape};
use proptest::prelude::*;
use std::time::Duration;
use tributary::window::{Emit, TimeDomain, WindowKind, WindowOptions};

/// An event of the stream.
#[derive(Debug, Clone)]
pub struct Record {
    pub key: u8,
    pub a: Option<&'static str>,
    pub b: Option<i64>,
    pub n: Option<i64>,
    /// Quarters, so that sums of them are exact; zeros have both signs.
    pub v: Option<i64>,
    /// How far its time is from the network's, in seconds or quarters of them.
    pub lag: i64,
    /// What the child rows hold.
    pub parts: Vec<(Option<i64>, i64)>,
    /// Which of two links brings it.
    pub left: bool,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub enum Op {
    Event(Record),
    /// Several events, which come as one batch.
    Batch(Vec<Record>),
    /// The event that was sent so many before comes again.
    Again(usize),
    /// One that cannot be a row.
    Bad(u8),
    Advance(Duration),
    /// The clock is set, forward or back, by so many seconds.
    Clock(i64),
}

/// A stream and a query over it.
#[derive(Debug, Clone)]
pub struct Case {
    pub shape: Shape,
    pub extent: WindowKind,
    pub emit: Emit,
    pub clock: TimeDomain,
    pub lateness: u64,
    pub idle: Option<u64>,
    /// Whether times have fractions.
    pub real: bool,
    /// Which emissions fail: about so many of 10, by this seed.
    pub failing: u64,
    pub salt: u64,
    /// Whether each event has a key of its own.
    pub fresh: bool,
    /// Before which step a database that stays is closed and opened again.
    pub restart: Option<usize>,
    pub ops: Vec<Op>,
}

impl Case {
    /// Whether it goes through a file too, which is held against memory.
    pub fn is_filed(&self) -> bool {
        self.salt.is_multiple_of(8)
    }

    /// Leaves to a case that goes through a file what is the same there, and again after a restart
    /// (which is for every other one of them).
    ///
    /// - A file keeps the rows of a window that has ended until what was emitted for it is delivered,
    ///   so it knows their keys for longer.
    /// - What was not delivered is emitted at once after a restart, not after a pause.
    /// - How far each link has come is not kept, so only the network's clock is the same. What has
    ///   ended or left has, but nothing keeps that where the clock is set back afterwards.
    /// - Of the last so many rows a table knows their times, not in which order they have come.
    /// - An event whose key is there already begins its windows, and no row tells of it.
    fn for_a_file(mut self, family: Family) -> Self {
        if !self.is_filed() {
            return self;
        }
        self.fresh = self.emit == Emit::Close;
        if (self.salt / 8).is_multiple_of(2) && !matches!(family, Family::Count) {
            self.fresh |= matches!(family, Family::Hopping);
            self.failing = 0;
            self.clock = TimeDomain::System;
            self.restart = Some(self.ops.len() / 2);
            for op in &mut self.ops {
                if let Op::Clock(by) = op {
                    *by = by.abs();
                }
            }
        }
        self
    }

    /// Whether the window is replaced before this step.
    pub fn replaced_before(&self, step: usize) -> bool {
        let steps = self.ops.len() as u64;
        [self.salt / 7, self.salt / 77]
            .map(|at| at % steps)
            .contains(&(step as u64))
    }

    pub fn options(&self) -> WindowOptions {
        let mut options = WindowOptions::new("events", self.shape.sql(), self.extent)
            .time("t")
            .clock(self.clock)
            .emit(self.emit);
        if self.clock == TimeDomain::Event {
            options = options.lateness(Duration::from_secs(self.lateness));
            if let Some(idle) = self.idle {
                options = options.idle(Duration::from_secs(idle));
            }
        }
        options
    }
}

/// Which extents a test is about.
#[derive(Debug, Clone, Copy)]
pub enum Family {
    Sliding,
    Count,
    Hopping,
}

fn record() -> impl Strategy<Value = Record> {
    let lag = prop_oneof![
        4 => Just(0_i64),
        3 => -3_i64..=1,
        1 => -12_i64..=12,
    ];
    let text = proptest::sample::select(vec!["x", "X", "y", "x "]);
    let part = (proptest::option::weighted(0.9, 0_i64..3), -2_i64..6);
    (
        0_u8..10,
        proptest::option::weighted(0.85, text),
        proptest::option::weighted(0.8, 0_i64..3),
        proptest::option::weighted(0.8, -1_i64..5),
        proptest::option::weighted(0.85, -4_i64..10),
        lag,
        proptest::collection::vec(part, 0..=3),
        proptest::bool::weighted(0.7),
    )
        .prop_map(|(key, a, b, n, v, lag, parts, left)| Record {
            key,
            a,
            b,
            n,
            v,
            lag,
            parts,
            left,
        })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => record().prop_map(Op::Event),
        2 => proptest::collection::vec(record(), 1..5).prop_map(Op::Batch),
        2 => (0_usize..6).prop_map(Op::Again),
        1 => (0_u8..3).prop_map(Op::Bad),
        4 => (1_u64..20).prop_map(|quarters| Op::Advance(Duration::from_millis(250 * quarters))),
        1 => (-5_i64..9).prop_map(Op::Clock),
    ]
}

fn extent(family: Family) -> BoxedStrategy<WindowKind> {
    let seconds = Duration::from_secs;
    match family {
        Family::Sliding => (1_u64..9)
            .prop_map(move |s| WindowKind::Sliding(seconds(s)))
            .boxed(),
        Family::Count => (1_usize..7).prop_map(WindowKind::Count).boxed(),
        Family::Hopping => (1_u64..6, 1_u64..4)
            .prop_map(move |(slide, times)| WindowKind::Hopping {
                size: seconds(slide * times),
                slide: seconds(slide),
            })
            .boxed(),
    }
}

fn emit(family: Family) -> impl Strategy<Value = Emit> {
    let mut modes = vec![
        Emit::All,
        Emit::Touched,
        Emit::Changes,
        Emit::Enter,
        Emit::Leave,
    ];
    if let Family::Hopping = family {
        modes.extend([Emit::Close, Emit::Close]);
    }
    proptest::sample::select(modes)
}

pub fn case(family: Family) -> impl Strategy<Value = Case> {
    let clock = prop_oneof![Just(TimeDomain::System), Just(TimeDomain::Event)];
    (
        shape(),
        extent(family),
        emit(family),
        (clock, 0_u64..4, proptest::option::weighted(0.5, 2_u64..8)),
        proptest::bool::weighted(0.3),
        (prop_oneof![Just(0_u64), 1..6_u64], any::<u64>()),
        proptest::collection::vec(op(), 1..24),
    )
        .prop_map(
            move |(shape, extent, emit, (clock, lateness, idle), real, (failing, salt), ops)| {
                let case = Case {
                    // The last rows are those at any time: a bound leaves little to compare.
                    shape: match (family, salt % 8) {
                        (Family::Count, 1..) => shape.unbounded(),
                        _ => shape,
                    },
                    extent,
                    emit,
                    clock,
                    lateness,
                    idle,
                    real,
                    failing,
                    salt,
                    fresh: false,
                    restart: None,
                    ops,
                };
                case.for_a_file(family)
            },
        )
}
