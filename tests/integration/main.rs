//! One binary for all tests that drive the public API; a file for each subject.

mod ack;
mod binary;
mod databases;
mod dialect;
mod drawing;
mod mariadb;
mod probe;
mod script;
mod script_building;
mod script_values;
mod store;
mod tables;
mod text;
mod urls;
mod windows;
