//! What the tests share: the driver of the binary, private servers, databases, and probe nodes.

pub mod binary;
pub mod databases;
pub mod mariadb;
pub mod mortal;
pub mod probe;
pub mod server;
pub mod text;
pub mod window_bench;
