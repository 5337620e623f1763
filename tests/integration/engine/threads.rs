//! What can be used from other threads.

use tributary::connect::Options;
use tributary::network::{PipelineNode, SinkNode, SourceNode};
use tributary::store::{DeadLetters, Query};
use tributary::window::WindowOptions;
use tributary::{
    Batch, Database, Draft, Error, Event, LinkOptions, Meta, Network, OnError, Payload, Replay,
    Stats, Table, sink, source,
};

fn is_shared<T: Send + Sync + 'static>() {}
fn is_sent<T: Send + 'static>() {}

#[test]
fn handles_and_data_can_be_used_from_any_thread() {
    is_shared::<Network>();
    is_shared::<(SourceNode, PipelineNode, SinkNode)>();
    is_shared::<Database>();
    is_shared::<(Query, DeadLetters, Table)>();
    is_shared::<(Event, Payload, Meta, Batch)>();
    is_shared::<(Error, Stats)>();
    is_shared::<(LinkOptions, OnError, Options, WindowOptions)>();
    is_shared::<(source::Sender, sink::Receiver, sink::Recorder)>();
    is_sent::<Draft>();
    is_sent::<Replay>();
}
