//! Pipelines: what takes events and sends events. One file each; to add one, write a file that
//! implements [`Node`](crate::Node) and [`Pipeline`](crate::Pipeline), and name it here.

mod batch;
mod bounds;
mod changed;
mod closure;
mod deadman;
mod debounce;
mod delay;
mod filter;
mod forwarder;
mod held;
mod key;
mod keys;
mod parse;
mod part;
mod queue;
mod ratelimit;
mod sample;
mod throttle;

pub use batch::{BatchLimits, Collect};
pub use bounds::Bounds;
pub use changed::Changed;
pub use closure::{Injector, Interceptor, Verdict, injector, interceptor};
pub use deadman::Deadman;
pub use debounce::Debounce;
pub use delay::Delay;
pub use filter::{Filter, FilterKey};
pub use forwarder::Forwarder;
pub use key::Key;
pub use parse::Parse;
pub use queue::Queue;
pub use ratelimit::RateLimit;
pub use sample::Sample;
pub use throttle::Throttle;
