//! Has the ack use shuttle's atomics.

fn main() {
    println!("cargo::rustc-cfg=shuttle");
}
