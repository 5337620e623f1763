//! One suite that every connector passes against its real server.
//!
//! [`Connector`] is what a connector brings: how its server is started, where a source and a sink
//! connect to, and what it promises ([`Promises`]). `claims` are what is held against it, generic
//! functions over a connector; one that tests what is not promised has nothing to do. `server` starts
//! programs on free ports, with directories of their own, and ends them.
//!
//! To add a connector `tin`: a file `tin.rs` here and, below, its `mod` line with
//! `#[cfg(feature = "tin")]`; in it a type that implements `Connector`, and one line:
//!
//! ```ignore
//! conforms!(Tin, "needs tin-server");
//! ```
//!
//! which makes a test of each claim, all of them ignored unless `--include-ignored` is given. What a
//! connector promises beyond the suite it tests in the same file. To add a claim: a function in
//! `claims`, and its name in `conforms!`.

mod addresses;
#[cfg(feature = "amqp")]
mod amqp;
#[cfg(all(feature = "amqp", feature = "nats", feature = "slack"))]
mod bus_to_alerts;
mod claims;
mod compressed_logs;
mod failing_reads;
mod file_sinks;
mod files;
mod followed;
mod formats;
mod hostile_peers;
#[cfg(feature = "http")]
mod http_sink;
#[cfg(feature = "http")]
mod http_source;
#[cfg(feature = "kafka")]
mod kafka;
mod line_sources;
mod lines;
mod logrotate;
mod lying_servers;
#[cfg(feature = "mqtt")]
mod mqtt;
#[cfg(feature = "mqtt")]
mod mqtt_words;
#[cfg(feature = "nats")]
mod nats;
mod programs;
#[cfg(feature = "redis")]
mod redis;
mod rotation;
mod row_sinks;
mod rows;
mod secrets;
mod settings;
mod sockets;
#[cfg(feature = "http")]
pub mod web;

use tributary::Result;
use tributary::connect::Options;

/// What a connector promises.
#[derive(Clone, Copy, Default)]
pub struct Promises {
    /// One source gets the events in the order in which they were sent.
    pub order: bool,
    /// An event that failed comes again while the source runs.
    pub redelivery: bool,
    /// What was not delivered when the source went away is given to the next one.
    pub acks: bool,
    /// Several sources share the work.
    pub groups: bool,
    /// What was taken by the server is there after the server was restarted.
    pub durable: bool,
}

impl Promises {
    pub const ALL: Promises = Promises {
        order: true,
        redelivery: true,
        acks: true,
        groups: true,
        durable: true,
    };
}

/// Where to connect to, and with which options.
pub type At = (String, Options);

/// How often the server refuses an event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Until it relents, or at the first attempt only.
    Once,
    Always,
}

/// What a connector brings to the suite.
pub trait Connector: Sized {
    const PROMISES: Promises;

    /// Starts a server of its own, on a free port of the loopback, in a directory of its own; waits
    /// until it answers. It ends with the value.
    fn start() -> Result<Self>;

    /// Stops the server at once, as when it crashes.
    fn stop(&mut self) -> Result<()>;

    /// Starts it again at the same place with what it had kept; waits until it answers.
    fn resume(&mut self) -> Result<()>;

    /// Makes the stream, queue or topic of this name, where there needs to be one.
    fn prepare(&mut self, name: &str) -> Result<()>;

    /// Where a source reads what is called `name`. All sources with one name are of one group.
    fn source(&self, name: &str) -> At;

    /// Where a sink writes it.
    fn sink(&self, name: &str) -> At;

    /// A sink of events whose member `to` is "good" or "bad", for [`refuse`](Self::refuse).
    fn picky_sink(&self, name: &str) -> At;

    /// Where what it writes is read: the good events by the first source.
    fn picky_sources(&self, name: &str) -> Vec<At> {
        vec![self.source(name)]
    }

    /// Makes what the picky sink of this name needs, and has the server refuse the bad event; gives
    /// how many bytes that must have beside its members. `None` where no server refuses it so.
    fn refuse(&mut self, name: &str, refusal: Refusal) -> Result<Option<usize>>;

    /// Has the server take the bad event, too.
    fn relent(&mut self, name: &str) -> Result<()>;

    /// A source and a sink at another port of the loopback, with short time limits.
    fn elsewhere(_port: u16) -> Option<(At, At)> {
        None
    }

    /// A source with a wrong password, and the password.
    fn with_wrong_password(&self) -> Option<(At, &'static str)> {
        None
    }

    /// A source of something that is not there, and what the error says to do.
    fn missing(&self) -> Option<(At, &'static str)> {
        None
    }
}

/// Makes a test of each claim for this connector.
macro_rules! conforms {
    ($connector:ty, $needs:literal) => {
        $crate::connect::conforms!(@ $connector, $needs,
            it_opens_and_closes_again,
            what_is_written_is_read,
            every_format_is_read_and_written,
            an_event_that_is_too_large_leaves_its_head_its_size_and_its_hash,
            order_is_kept,
            sources_share_the_work,
            what_is_refused_comes_again,
            a_late_outcome_is_not_skipped,
            what_was_not_delivered_comes_to_the_next_one,
            what_is_replaced_loses_doubles_and_reorders_nothing,
            a_process_that_is_killed_loses_nothing,
            behind_a_checkpoint_it_ends_by_itself_and_its_place_is_the_end,
            behind_a_checkpoint_a_stop_in_the_middle_loses_nothing,
            an_event_that_failed_once_is_delivered_when_its_source_sends_it_again,
            an_event_that_is_tried_again_in_place_is_delivered_once_and_the_others_keep_their_order,
            an_event_that_always_fails_goes_to_the_dead_letters,
            it_starts_no_thread_beside_those_of_its_client,
            a_source_without_outcomes_reads_up_to_its_bound_and_resumes,
            a_restart_of_the_server_loses_nothing,
            a_server_that_is_not_there_is_waited_for,
            a_server_that_never_answers_does_not_hold_up_the_stop,
            a_wrong_password_is_an_error_that_does_not_show_it,
            what_is_missing_is_an_error_with_a_hint
        );
    };
    (@ $connector:ty, $needs:literal, $($claim:ident),*) => {
        $(
            #[test]
            #[ignore = $needs]
            fn $claim() -> tributary::Result<()> {
                $crate::connect::claims::$claim::<$connector>()
            }
        )*
    };
}
pub(crate) use conforms;
