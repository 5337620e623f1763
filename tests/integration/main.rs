//! One binary for all tests that drive the public API; a file for each subject.

mod ack;
mod drawing;
mod probe;
