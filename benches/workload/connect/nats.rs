//! JetStream: published with ids and acked, and pulled and acked.

use super::{Run, Server, payload};
use async_nats::{Client, HeaderMap, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tributary::connect::Options;

/// How many messages are under way at most, here as in the network.
const IN_FLIGHT: u64 = 2048;

struct Nats(Server, Runtime);

impl Nats {
    fn start() -> Rc<Self> {
        let server = Server::start("nats-server", |port, place| {
            let port = port.to_string();
            let words = ["-js", "-a", "127.0.0.1", "-p", &port, "-sd", place];
            words.map(str::to_owned).into()
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Rc::new(Nats(server, runtime.expect("a runtime")))
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}/bench.x", self.0.port)
    }

    async fn connect(&self) -> Client {
        let place = format!("nats://127.0.0.1:{}", self.0.port);
        async_nats::connect(place).await.expect("a server")
    }

    /// Makes a new stream, with so many messages.
    fn fill(&self, events: u64) {
        self.1.block_on(async {
            let client = self.connect().await;
            ask(&client, "STREAM.DELETE.BENCH", json!({})).await;
            let config = json!({"name": "BENCH", "subjects": ["bench.>"]});
            ask(&client, "STREAM.CREATE.BENCH", config).await;
            let config = json!({"durable_name": "d", "ack_policy": "explicit",
                "filter_subject": "bench.x", "deliver_policy": "all", "max_ack_pending": -1});
            let request = json!({"stream_name": "BENCH", "config": config});
            ask(&client, "CONSUMER.DURABLE.CREATE.BENCH.d", request).await;
            publish(&client, events).await;
        });
    }

    /// The time of a bare client, from before it connects.
    fn timed<F: Future<Output = ()>>(&self, work: impl FnOnce(Client) -> F) -> Duration {
        let begun = Instant::now();
        self.1.block_on(async { work(self.connect().await).await });
        begun.elapsed()
    }
}

async fn ask(client: &Client, subject: &str, request: Value) {
    let subject = format!("$JS.API.{subject}");
    let answer = client.request(subject, request.to_string().into()).await;
    answer.expect("an answer");
}

pub fn write() -> (Run, Run) {
    let nats = Nats::start();
    let ours = nats.clone();
    let options = Options::new().with("stream", "BENCH");
    (
        Box::new(move |events| {
            ours.fill(0);
            super::written(&ours.url(), &options, events).expect("it writes")
        }),
        Box::new(move |events| {
            nats.fill(0);
            nats.timed(|client| async move { publish(&client, events).await })
        }),
    )
}

pub fn read() -> (Run, Run) {
    let nats = Nats::start();
    let ours = nats.clone();
    let options = Options::new().with("stream", "BENCH").with("durable", "d");
    (
        Box::new(move |events| {
            ours.fill(events);
            super::read(&ours.url(), &options, events).expect("it reads")
        }),
        Box::new(move |events| {
            nats.fill(events);
            nats.timed(|client| async move { pull(&client, events).await })
        }),
    )
}

async fn publish(client: &Client, events: u64) {
    let inbox = client.new_inbox();
    let mut acks = client.subscribe(inbox.clone()).await.expect("an inbox");
    let mut acked = 0;
    for number in 0..events {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("bare.{number}"));
        let payload = payload(number).into();
        let sent =
            client.publish_with_reply_and_headers("bench.x", inbox.clone(), headers, payload);
        sent.await.expect("it is sent");
        while let Some(Some(ack)) = acks.next().now_or_never() {
            check(&ack.payload);
            acked += 1;
        }
        if number - acked >= IN_FLIGHT {
            acked += one(&mut acks).await;
        }
    }
    while acked < events {
        acked += one(&mut acks).await;
    }
}

async fn one(acks: &mut Subscriber) -> u64 {
    check(&acks.next().await.expect("an ack").payload);
    1
}

fn check(ack: &[u8]) {
    let ack: Value = serde_json::from_slice(ack).expect("JSON");
    assert!(ack.get("error").is_none(), "{ack}");
}

async fn pull(client: &Client, events: u64) {
    let inbox = client.new_inbox();
    let mut messages = client.subscribe(inbox.clone()).await.expect("an inbox");
    let (mut asked, mut taken) = (0, 0);
    while taken < events {
        if asked - taken <= IN_FLIGHT / 2 {
            let request = json!({"batch": IN_FLIGHT / 2, "expires": 30_000_000_000_u64});
            let subject = "$JS.API.CONSUMER.MSG.NEXT.BENCH.d";
            let sent =
                client.publish_with_reply(subject, inbox.clone(), request.to_string().into());
            sent.await.expect("it is sent");
            asked += IN_FLIGHT / 2;
        }
        let message = messages.next().await.expect("a message");
        std::hint::black_box(message.payload.to_vec());
        let reply = message.reply.expect("where to ack");
        client.publish(reply, "+ACK".into()).await.expect("an ack");
        taken += 1;
    }
    client.flush().await.expect("acks are sent");
}
