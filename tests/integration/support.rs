//! What the tests share: the driver of the binary, private servers, databases, and probe nodes.

pub mod binary;
pub mod databases;
pub mod mariadb;
pub mod probe;
pub mod process;
#[cfg(feature = "amqp")]
pub mod rabbitmq;
pub mod text;
pub mod wait;
pub mod window_bench;
