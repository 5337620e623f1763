//! Pipelines: what takes events and sends events. One file each; to add one, write a file that
//! implements [`Node`](crate::Node) and [`Pipeline`](crate::Pipeline), and name it here.

mod closure;
mod filter;
mod forwarder;
mod ratelimit;

pub use closure::{Injector, Interceptor, Verdict, injector, interceptor};
pub use filter::{Filter, FilterKey};
pub use forwarder::Forwarder;
pub use ratelimit::RateLimit;
