//! One binary for all tests that drive the public API; a file for each subject.

mod ack;
mod binary;
mod command_line;
mod command_line_database;
mod command_line_errors;
mod command_line_signals;
mod databases;
mod dialect;
mod drawing;
mod examples;
mod faults_script;
mod mariadb;
mod probe;
mod script;
mod script_building;
mod script_errors;
mod script_source;
mod script_values;
mod store;
mod tables;
mod text;
mod urls;
mod windows;
