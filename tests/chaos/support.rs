//! What the integration tests have too.

#[path = "../integration/support/binary.rs"]
pub mod binary;
#[path = "../integration/support/mariadb.rs"]
pub mod mariadb;
#[path = "../integration/support/process.rs"]
pub mod process;
#[path = "../integration/support/text.rs"]
pub mod text;
#[path = "../integration/support/wait.rs"]
pub mod wait;
