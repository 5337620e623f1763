//! One binary for all tests that use the public API or run the `tributary` binary: a folder for each part of
//! the project, a file for each subject. `support` has what they share, `guide` runs the documentation.

mod admin;
mod cli;
mod connect;
mod engine;
mod guide;
mod lua;
mod support;
mod window;
