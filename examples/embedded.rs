//! A blocking program with a network inside: it sends events in and receives events.
//!
//! ```sh
//! cargo run --release --example embedded
//! ```
//!
//! ```text
//! 1 apples: 3 in all
//! 2 apples: 5 in all
//! delivered: Delivered
//! refused: Failed
//! 3 pears: 4 in all
//! ```

use serde_json::{Value, json};
use std::collections::HashMap;
use std::error::Error;
use tributary::{Network, pipeline, sink, source};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    let (orders, orders_source) = source::channel();
    let (totals, totals_sink) = sink::channel();

    let mut sums: HashMap<String, i64> = HashMap::new();
    let sum = pipeline::interceptor(move |e| {
        let order = e.payload().object()?;
        let item = order
            .get("item")
            .and_then(Value::as_str)
            .unwrap_or("things");
        let count = order.get("count").and_then(Value::as_i64).unwrap_or(0);
        let sum = sums.entry(item.to_owned()).or_default();
        *sum += count;
        Ok(e.derive(json!({"item": item, "total": sum})))
    });

    let network = Network::new();
    let orders_node = network.add_source("orders", orders_source)?;
    let sum_node = network.add_pipeline("sum", sum)?;
    let totals_node = network.add_sink("totals", totals_sink)?;
    network.link(&orders_node, &sum_node)?;
    network.link(&sum_node, &totals_node)?;
    network.start()?;

    let print = |number: u32| {
        if let Some(event) = totals.recv() {
            let total = event.payload().json().cloned().unwrap_or_default();
            println!(
                "{number} {}: {} in all",
                total["item"].as_str().unwrap_or("?"),
                total["total"]
            );
        }
    };
    orders.send(json!({"item": "apples", "count": 3}))?;
    print(1);
    orders.send(json!({"item": "apples", "count": 2}))?;
    print(2);
    // `deliver` waits for the outcome of the event.
    println!(
        "delivered: {:?}",
        orders.deliver(json!({"item": "pears", "count": 4}))?
    );
    println!("refused: {:?}", orders.deliver("this is no JSON")?);
    print(3);

    drop(orders); // no more input: the network ends by itself
    network.wait()?;
    Ok(())
}
