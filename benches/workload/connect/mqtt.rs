//! Topics of MQTT with QoS 1: published and confirmed, and read from a session and acked.

use super::{Run, Server, payload};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::{AsyncClient, Event, EventLoop, Incoming, MqttOptions};
use rumqttc::{NetworkOptions, Outgoing};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tributary::connect::Options;

/// How many messages are under way at most, here as in the network.
const SENT: u16 = 1024;
const TAKEN: u16 = 2048;

struct Mqtt(Server, Runtime);

impl Mqtt {
    fn start() -> Rc<Self> {
        let server = Server::start("mosquitto", |port, place| {
            let config = format!("{place}/config");
            let text = format!(
                "listener {port} 127.0.0.1\nuser root\nallow_anonymous true\n\
                 max_inflight_messages {SENT}\nmax_queued_messages 10000000\n"
            );
            std::fs::write(&config, text).expect("a file");
            vec!["-c".to_owned(), config]
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Rc::new(Mqtt(server, runtime.expect("a runtime")))
    }

    fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.0.port)
    }

    fn connect(&self, id: &str, is_new: bool) -> (AsyncClient, EventLoop) {
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        let mut options = MqttOptions::new(id, "127.0.0.1", self.0.port);
        options
            .set_network_options(network)
            .set_clean_start(is_new)
            .set_session_expiry_interval((!id.is_empty()).then_some(3600))
            .set_max_packet_size(Some(1 << 20))
            .set_receive_maximum(Some(TAKEN))
            .set_outgoing_inflight_upper_limit(SENT)
            .set_manual_acks(true);
        // The broker may have more under way than it has reported.
        AsyncClient::new(options, 1 << 20)
    }

    /// Makes a new session, with so many messages.
    fn fill(&self, events: u64) {
        self.1.block_on(async {
            let (client, mut happens) = self.connect("bench", true);
            client
                .try_subscribe("bench/x", QoS::AtLeastOnce)
                .expect("it is asked");
            loop {
                let event = happens.poll().await.expect("a session");
                if matches!(event, Event::Incoming(Incoming::SubAck(_))) {
                    break;
                }
            }
            client.try_disconnect().expect("it is asked");
            while happens.poll().await.is_ok() {}
            publish(self.connect("", true), events).await;
        });
    }

    /// The time of a bare client, from before it connects.
    fn timed<F: Future<Output = ()>>(&self, work: F) -> Duration {
        let begun = Instant::now();
        self.1.block_on(work);
        begun.elapsed()
    }
}

pub fn write() -> (Run, Run) {
    let mqtt = Mqtt::start();
    let ours = mqtt.clone();
    let options = Options::new().with("topic", "bench/x");
    (
        Box::new(move |events| super::written(&ours.url(), &options, events).expect("it writes")),
        Box::new(move |events| mqtt.timed(publish(mqtt.connect("", true), events))),
    )
}

pub fn read() -> (Run, Run) {
    let mqtt = Mqtt::start();
    let ours = mqtt.clone();
    let options = Options::new()
        .with("topic", "bench/x")
        .with("client_id", "bench");
    (
        Box::new(move |events| {
            ours.fill(events);
            super::read(&ours.url(), &options, events).expect("it reads")
        }),
        Box::new(move |events| {
            mqtt.fill(events);
            mqtt.timed(take(mqtt.connect("bench", false), events))
        }),
    )
}

async fn publish((client, mut happens): (AsyncClient, EventLoop), events: u64) {
    let (mut sent, mut acked) = (0, 0);
    while acked < events {
        while sent < events && sent - acked < u64::from(SENT) {
            let (topic, payload) = ("bench/x", payload(sent));
            let asked = client.try_publish(topic, QoS::AtLeastOnce, false, payload);
            asked.expect("it is asked");
            sent += 1;
        }
        let event = happens.poll().await.expect("a server");
        acked += u64::from(matches!(event, Event::Incoming(Incoming::PubAck(_))));
    }
}

async fn take((client, mut happens): (AsyncClient, EventLoop), events: u64) {
    let mut acked = 0;
    while acked < events {
        match happens.poll().await.expect("a server") {
            Event::Incoming(Incoming::Publish(message)) => {
                std::hint::black_box(message.payload.to_vec());
                client.try_ack(&message).expect("it is asked");
            }
            Event::Outgoing(Outgoing::PubAck(_)) => acked += 1,
            _ => {}
        }
    }
}
